"""The short cut to DynamoDB: signing, connections, and the class that puts both into the SDK's client.

The SDK takes several times as long over a request as DynamoDB's own protocol needs. For the four
calls that requests are served with, this takes its place; the SDK goes on to know the credentials, the
endpoint and the configuration, and to do everything else.
"""
