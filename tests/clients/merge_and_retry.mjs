// Two writers of one playlist, with fetch alone: `node merge_and_retry.mjs URL`.
//
// Each changes what the other does not, from the same state. Whoever comes second merges into what the
// conflict shows, and retries without reading again.

import assert from "node:assert/strict";

const playlist = `${process.argv[2]}/playlists/p1`;

const send = async (method, url, body, headers = {}) => {
  const answer = await fetch(url, {
    method,
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, etag: answer.headers.get("ETag"), body: await answer.json() };
};
const edit = (patch, headers) =>
  send("PATCH", playlist, patch, { "Content-Type": "application/merge-patch+json", ...headers });

// The edit makes a patch of the state that it is given; returns how often it was refused.
const editUntilDone = async (read, edited, precondition) => {
  let { body: current, etag } = read;
  for (let conflicts = 0; conflicts < 5; conflicts++) {
    const { patch, headers } = precondition(edited(current), current, etag);
    const answer = await edit(patch, headers);
    if (answer.status === 200) return conflicts;
    assert.ok([409, 412].includes(answer.status), JSON.stringify(answer.body));
    ({ current, current_etag: etag } = answer.body);
  }
  assert.fail("refused again and again");
};
const byEntityTag = (patch, _, etag) => ({ patch, headers: { "If-Match": etag } });
const byVersion = (patch, current) => ({ patch: { ...patch, playlist_version: current.playlist_version } });

const read = await send("PUT", playlist, { playlist_name: "First", track_tokens: ["A/1"] });
assert.equal(read.status, 201);
const inserted = await send("POST", `${playlist}/tracks`, { track_tokens: ["A/2"] }, { "If-Match": read.etag });
assert.equal(inserted.status, 200);

assert.equal(await editUntilDone(read, () => ({ playlist_name: "Second" }), byEntityTag), 1);
const withTrack = (current) => ({ track_tokens: [...current.track_tokens, "A/3"] });
assert.equal(await editUntilDone(read, withTrack, byVersion), 1);
