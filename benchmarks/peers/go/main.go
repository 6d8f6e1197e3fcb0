// A peer to measure against: GET and PATCH of a playlist, on net/http and aws-sdk-go-v2.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type playlist struct {
	Token   string   `dynamodbav:"partition_key" json:"playlist_token"`
	SortKey string   `dynamodbav:"sort_key" json:"-"`
	Name    string   `dynamodbav:"playlist_name" json:"playlist_name"`
	Version int64    `dynamodbav:"playlist_version" json:"playlist_version"`
	Tracks  []string `dynamodbav:"track_tokens" json:"track_tokens"`
}

var table = os.Getenv("TABLE")

// The default transport keeps two connections to a host, and makes a new one for every other request.
var client = dynamodb.New(dynamodb.Options{
	Region:       "us-east-1",
	BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL_DYNAMODB")),
	Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ""),
	HTTPClient:   &http.Client{Transport: &http.Transport{MaxIdleConns: 128, MaxIdleConnsPerHost: 128}},
})

func load(ctx context.Context, token string) (*playlist, error) {
	answer, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      aws.String(table),
		ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{
			"partition_key": &types.AttributeValueMemberS{Value: token},
			"sort_key":      &types.AttributeValueMemberS{Value: "INFO_"},
		},
	})
	if err != nil || answer.Item == nil {
		return nil, err
	}
	var found playlist
	return &found, attributevalue.UnmarshalMap(answer.Item, &found)
}

func respond(w http.ResponseWriter, p *playlist) {
	w.Header().Set("Content-Type", "application/json")
	body, _ := json.Marshal(p)
	_, _ = w.Write(body)
}

func get(w http.ResponseWriter, r *http.Request) {
	found, err := load(r.Context(), r.PathValue("token"))
	if err != nil {
		w.WriteHeader(500)
		return
	}
	if found == nil {
		w.WriteHeader(404)
		return
	}
	respond(w, found)
}

func patch(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name *string `json:"playlist_name"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.Name == nil {
		w.WriteHeader(422)
		return
	}
	found, err := load(r.Context(), r.PathValue("token"))
	if err != nil {
		w.WriteHeader(500)
		return
	}
	if found == nil {
		w.WriteHeader(404)
		return
	}
	version, _ := attributevalue.Marshal(found.Version)
	found.Name = *body.Name
	found.Version++
	item, _ := attributevalue.MarshalMap(found)
	_, err = client.PutItem(r.Context(), &dynamodb.PutItemInput{
		TableName:                           aws.String(table),
		Item:                                item,
		ConditionExpression:                 aws.String("playlist_version = :read_version"),
		ExpressionAttributeValues:           map[string]types.AttributeValue{":read_version": version},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		w.WriteHeader(409)
		return
	}
	if err != nil {
		w.WriteHeader(500)
		return
	}
	respond(w, found)
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /playlists/{token}", get)
	mux.HandleFunc("PATCH /playlists/{token}", patch)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], mux))
}
