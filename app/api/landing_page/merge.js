// Three-way merge of a playlist's name and tracks: what both started from, theirs, and mine.

const same = (some, others) => JSON.stringify(some) === JSON.stringify(others);

// `tracks` less one of each of `others`: a track may be there several times.
export function without(tracks, others) {
  const left = [...others];
  return tracks.filter((track) => {
    const at = left.indexOf(track);
    if (at < 0) return true;
    left.splice(at, 1);
    return false;
  });
}

// The members of `now` that are not as in `base`, as a merge patch.
export function changes(base, now) {
  const names = ["playlist_name", "track_tokens"].filter((name) => !same(base[name], now[name]));
  return Object.fromEntries(names.map((name) => [name, now[name]]));
}

// What only one side changed is as that side left it. Where both changed the tracks, mine that are new follow theirs,
// and those that I removed are gone. Where both changed the name, `name` decides.
export function merged(base, theirs, mine, name = mine.playlist_name) {
  const of = { theirs: changes(base, theirs), mine: changes(base, mine) };
  const bothChanged = (member) => member in of.theirs && member in of.mine;
  const removed = without(base.track_tokens, mine.track_tokens);
  const added = without(mine.track_tokens, base.track_tokens);
  const content = { ...base, ...of.theirs, ...of.mine };
  return {
    playlist_name: bothChanged("playlist_name") ? name : content.playlist_name,
    track_tokens: bothChanged("track_tokens")
      ? [...without(theirs.track_tokens, removed), ...without(added, without(theirs.track_tokens, base.track_tokens))]
      : content.track_tokens,
  };
}
