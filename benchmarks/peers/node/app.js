// A peer to measure against: GET and PATCH of a playlist, on fastify and the AWS SDK's document client.
const fastify = require('fastify')({ logger: false });
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const { DynamoDBDocumentClient, GetCommand, PutCommand } = require('@aws-sdk/lib-dynamodb');

const client = new DynamoDBClient({
  endpoint: process.env.AWS_ENDPOINT_URL_DYNAMODB,
  region: 'us-east-1',
  credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'x'.repeat(40) },
});
const documents = DynamoDBDocumentClient.from(client);
const TableName = process.env.TABLE;

// With a schema fastify compiles a serializer, which is faster than JSON.stringify.
const schema = {
  response: {
    200: {
      type: 'object',
      properties: {
        playlist_token: { type: 'string' },
        playlist_name: { type: 'string' },
        playlist_version: { type: 'integer' },
        track_tokens: { type: 'array', items: { type: 'string' } },
      },
    },
  },
};
const patchSchema = {
  ...schema,
  body: { type: 'object', required: ['playlist_name'], properties: { playlist_name: { type: 'string' } } },
};

async function load(token) {
  const Key = { partition_key: token, sort_key: 'INFO_' };
  return (await documents.send(new GetCommand({ TableName, Key, ConsistentRead: true }))).Item;
}

function playlist(item) {
  return {
    playlist_token: item.partition_key,
    playlist_name: item.playlist_name,
    playlist_version: item.playlist_version,
    track_tokens: item.track_tokens,
  };
}

fastify.get('/playlists/:token', { schema }, async (request, reply) => {
  const item = await load(request.params.token);
  if (!item) {
    reply.code(404);
    return {};
  }
  return playlist(item);
});

fastify.patch('/playlists/:token', { schema: patchSchema }, async (request, reply) => {
  const item = await load(request.params.token);
  if (!item) {
    reply.code(404);
    return {};
  }
  const version = item.playlist_version;
  item.playlist_name = request.body.playlist_name;
  item.playlist_version = version + 1;
  try {
    await documents.send(new PutCommand({
      TableName,
      Item: item,
      ConditionExpression: 'playlist_version = :read_version',
      ExpressionAttributeValues: { ':read_version': version },
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    }));
  } catch (error) {
    if (error.name === 'ConditionalCheckFailedException') {
      reply.code(409);
      return {};
    }
    throw error;
  }
  return playlist(item);
});

fastify.listen({ port: Number(process.argv[2]), host: '127.0.0.1' });
