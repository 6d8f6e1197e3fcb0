import java.util.List;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.PlaylistsApi;
import org.openapitools.client.model.ConflictProblem;
import org.openapitools.client.model.Playlist;
import org.openapitools.client.model.PlaylistCreation;
import org.openapitools.client.model.PlaylistMergePatch;
import org.openapitools.client.model.PlaylistReplacement;

/** Creates a playlist, renames it, and merges after a conflict: `java Rename URL`. Prints the playlist's token. */
public class Rename {
  private static final List<String> TRACKS = List.of("A/1", "A/2");

  public static void main(String[] arguments) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(arguments[0]);
    PlaylistsApi playlists = new PlaylistsApi(client);

    Playlist created =
        playlists.createPlaylist(new PlaylistCreation().playlistName("First").trackTokens(TRACKS), null);
    String token = created.getPlaylistToken();
    Playlist renamed =
        playlists.editPlaylist(token, new PlaylistMergePatch().playlistName("Second"), null, null, null);
    require(renamed.getTrackTokens().equals(TRACKS), "the rename changed the tracks");

    PlaylistMergePatch stale =
        new PlaylistMergePatch().playlistName("Stale").playlistVersion(created.getPlaylistVersion());
    ConflictProblem conflict =
        client
            .getObjectMapper()
            .readValue(
                refused(409, () -> playlists.editPlaylist(token, stale, null, null, null)), ConflictProblem.class);
    require(conflict.getCode() == ConflictProblem.CodeEnum.VERSION_CONFLICT, "another conflict");
    require(conflict.getCurrent().equals(renamed), "the conflict shows another state");

    PlaylistMergePatch retry = new PlaylistMergePatch().playlistName("Third");
    playlists.editPlaylist(token, retry, conflict.getCurrentEtag(), null, null);

    // The tracks were forgotten: a list that nobody set must not become an empty one.
    refused(
        422,
        () ->
            playlists.putPlaylist(token, new PlaylistReplacement().playlistName("No tracks"), null, null, null));
    System.out.println(token);
  }

  private interface Call {
    Object send() throws ApiException;
  }

  private static String refused(int status, Call call) {
    try {
      call.send();
    } catch (ApiException refusal) {
      require(refusal.getCode() == status, "answered " + refusal.getCode() + ": " + refusal.getResponseBody());
      return refusal.getResponseBody();
    }
    throw new AssertionError("not refused with " + status);
  }

  private static void require(boolean condition, String otherwise) {
    if (!condition) {
      throw new AssertionError(otherwise);
    }
  }
}
