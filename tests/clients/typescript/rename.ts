// Creates a playlist, renames it, and merges after a conflict: `node rename.js URL`. Prints the playlist's token.

import { ConflictProblemCodeEnum, ConflictProblemFromJSON, Configuration, PlaylistsApi, ResponseError } from "./client";

declare const process: { argv: string[] };

const require_ = (condition: boolean, otherwise: string): void => {
  if (!condition) throw new Error(otherwise);
};

const main = async (): Promise<void> => {
  const playlists = new PlaylistsApi(new Configuration({ basePath: process.argv[2] }));
  const tracks = ["A/1", "A/2"];

  const created = await playlists.createPlaylist({ playlistCreation: { playlistName: "First", trackTokens: tracks } });
  const playlistToken = created.playlistToken;
  const renamed = await playlists.editPlaylist({ playlistToken, playlistMergePatch: { playlistName: "Second" } });
  require_(String(renamed.trackTokens) === String(tracks), "the rename changed the tracks");

  const stale = { playlistName: "Stale", playlistVersion: created.playlistVersion ?? undefined };
  const refusal: unknown = await playlists
    .editPlaylist({ playlistToken, playlistMergePatch: stale })
    .catch((error: unknown) => error);
  if (!(refusal instanceof ResponseError) || refusal.response.status !== 409) throw refusal;
  const conflict = ConflictProblemFromJSON(await refusal.response.json());
  require_(conflict.code === ConflictProblemCodeEnum.VersionConflict, "another conflict");
  require_(conflict.current?.playlistName === "Second", "the conflict shows another state");
  require_(String(conflict.current?.trackTokens) === String(tracks), "the conflict shows other tracks");

  const ifMatch = conflict.currentEtag ?? undefined;
  await playlists.editPlaylist({ playlistToken, ifMatch, playlistMergePatch: { playlistName: "Third" } });
  console.log(playlistToken);
};

void main();
