// Creates a playlist, renames it, and merges after a conflict: `go run . URL`. Prints the playlist's token.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"

	"playlists.test/client/openapi"
)

func main() {
	configuration := openapi.NewConfiguration()
	configuration.Servers = openapi.ServerConfigurations{{URL: os.Args[1]}}
	playlists := openapi.NewAPIClient(configuration).PlaylistsAPI
	ctx := context.Background()

	tracks := []string{"A/1", "A/2"}
	creation := openapi.NewPlaylistCreation("First")
	creation.SetTrackTokens(tracks)
	created, _, err := playlists.CreatePlaylist(ctx).PlaylistCreation(*creation).Execute()
	must(err)
	token := created.PlaylistToken

	edit := func(name string) openapi.ApiEditPlaylistRequest {
		patch := openapi.NewPlaylistMergePatch()
		patch.SetPlaylistName(name)
		return playlists.EditPlaylist(ctx, token).PlaylistMergePatch(*patch)
	}
	renamed, _, err := edit("Second").Execute()
	must(err)
	require(slices.Equal(renamed.TrackTokens, tracks), "the rename changed the tracks")

	stale := openapi.NewPlaylistMergePatch()
	stale.SetPlaylistName("Stale")
	stale.SetPlaylistVersion(*created.PlaylistVersion.Get())
	_, answer, err := playlists.EditPlaylist(ctx, token).PlaylistMergePatch(*stale).Execute()
	require(answer != nil && answer.StatusCode == http.StatusConflict, "no conflict")
	var refusal *openapi.GenericOpenAPIError
	require(errors.As(err, &refusal), "not an error of the API")
	conflict, typed := refusal.Model().(openapi.ConflictProblem)
	require(typed, "the conflict has no type of its own")
	require(conflict.Code == "version-conflict", "another conflict")
	current := conflict.Current.Get()
	require(current.PlaylistName == "Second" && slices.Equal(current.TrackTokens, tracks), "another state")

	_, _, err = edit("Third").IfMatch(*conflict.CurrentEtag.Get()).Execute()
	must(err)
	fmt.Println(token)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func require(condition bool, otherwise string) {
	if !condition {
		log.Fatal(otherwise)
	}
}
