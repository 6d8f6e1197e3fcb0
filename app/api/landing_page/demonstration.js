// Two writers of one playlist, over the public API. What the API answers is only ever written as text.
import { changes, merged, without } from "./merge.js";

const byId = (id) => document.getElementById(id);
const START = { playlist_name: "Morning Run", track_tokens: ["ALBUM_1/TRACK_1", "ALBUM_1/TRACK_2"] };
const EDITS = {
  Ann: (playlist) => ({ ...playlist, playlist_name: "Road Trip" }),
  Ben: (playlist) => ({ ...playlist, track_tokens: [...playlist.track_tokens, "ALBUM_2/TRACK_7"] }),
};

let path = null;
let token = null;
let makingKey = null;

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function headers(more = {}) {
  return token === null ? more : { ...more, Authorization: `Bearer ${token}` };
}

// One request: its answer, and both as text. `answer.status` is 0 where none came.
async function send(method, target, { body, ...fields } = {}) {
  const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  const sent = body === undefined ? fields : { ...fields, "Content-Type": type };
  const lines = [`${method} ${target}`, ...Object.entries(sent).map(([name, value]) => `${name}: ${value}`)];
  if (body !== undefined) lines.push("", JSON.stringify(body, null, 2));
  const answer = { status: 0, etag: null, content: null };
  try {
    const response = await fetch(target, {
      method,
      headers: headers(sent),
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
    answer.etag = response.headers.get("ETag");
    const text = await response.text();
    answer.content = text === "" ? null : JSON.parse(text);
    answer.status = response.status;
    lines.push("", `HTTP ${response.status}`, ...(answer.etag === null ? [] : [`ETag: ${answer.etag}`]));
    if (answer.content !== null) lines.push("", JSON.stringify(answer.content, null, 2));
  } catch {
    lines.push("", "No answer came.");
  }
  byId("token-form").hidden &&= answer.status !== 401;
  return { ...answer, ok: answer.status >= 200 && answer.status < 300, exchange: lines.join("\n") };
}

// Why there is no success, in words.
function reason({ status, content }) {
  if (status === 0) return ["No answer. ", "It is not known whether the change was made. Send it again."];
  return [`${content?.title ?? "Failure"} (${status}). `, content?.detail ?? ""];
}

function guide(text) {
  byId("guide").textContent = text;
}

// A button that is pressed again before it is done does nothing more.
function onlyOnce(act) {
  let busy = false;
  return async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    try {
      await act();
    } finally {
      busy = false;
    }
  };
}

class Writer {
  #name;
  #base = null;
  #lastTry = null;
  #element;
  #onSaved;

  constructor(name, onSaved) {
    this.#name = name;
    this.#onSaved = onSaved;
    this.#element = byId("writer").content.firstElementChild.cloneNode(true);
    const id = `writer-${name.toLowerCase()}`;
    this.#element.setAttribute("aria-labelledby", id);
    this.#find("h3").id = id;
    this.#find("h3").textContent = name;
    const [save, reload] = this.#element.querySelectorAll("button");
    save.textContent = `Save ${name}'s change`;
    reload.textContent = "Load anew";
    reload.setAttribute("aria-label", `Load anew for ${name}`);
    this.#find("summary").textContent = `${name}'s last request and its answer`;
    this.#find("form").addEventListener("submit", onlyOnce(() => this.#save()));
    this.#find("form").addEventListener("input", () => this.#markEdits());
    reload.addEventListener("click", onlyOnce(() => this.#reload()));
    byId("writers").append(this.#element);
  }

  // Take `playlist` as what this writer has loaded, and `content` as what stands in the form.
  show(playlist, etag, content = playlist) {
    this.#base = { playlist, etag };
    this.#find("input").value = content.playlist_name;
    this.#find("textarea").value = content.track_tokens.join("\n");
    this.#find(".base").textContent = `loaded version ${playlist.playlist_version}`;
    this.#find(".conflict").hidden = true;
    this.#markEdits();
  }

  tell(kind, strong, text) {
    const outcome = this.#find(".outcome");
    const emphasis = document.createElement("strong");
    emphasis.textContent = strong;
    outcome.dataset.kind = kind;
    outcome.replaceChildren(emphasis, text);
  }

  #find(selector) {
    return this.#element.querySelector(selector);
  }

  #content() {
    const lines = this.#find("textarea").value.split("\n").map((line) => line.trim());
    return { playlist_name: this.#find("input").value, track_tokens: lines.filter((line) => line !== "") };
  }

  #markEdits() {
    const edits = changes(this.#base.playlist, this.#content());
    for (const field of this.#element.querySelectorAll("input, textarea")) {
      field.parentElement.firstElementChild.classList.toggle("edited", field.name in edits);
    }
  }

  async #save() {
    const { playlist, etag } = this.#base;
    const edits = changes(playlist, this.#content());
    if (Object.keys(edits).length === 0) {
      this.tell("note", "Nothing to save. ", "The form is as it was loaded.");
      return;
    }
    // The same try again, after no answer came, is to be made once.
    const attempt = JSON.stringify([etag, edits]);
    if (this.#lastTry?.attempt !== attempt) this.#lastTry = { attempt, key: newKey() };
    const answer = await send("PATCH", path, {
      "If-Match": etag,
      "Idempotency-Key": this.#lastTry.key,
      body: edits,
    });
    this.#exchanged(answer);
    if (answer.ok) {
      this.show(answer.content, answer.etag);
      this.tell("success", "Saved. ", `The playlist is at version ${answer.content.playlist_version}.`);
      this.#onSaved(this.#name);
    } else if (answer.content?.current) {
      this.#conflict(answer.content);
    } else {
      this.tell("failure", ...reason(answer));
    }
  }

  async #reload() {
    const answer = await send("GET", path);
    this.#exchanged(answer);
    if (answer.ok) {
      this.show(answer.content, answer.etag);
      this.tell("success", "Loaded. ", `This is version ${answer.content.playlist_version}.`);
    } else {
      this.tell("failure", ...reason(answer));
    }
  }

  #exchanged(answer) {
    this.#find("details").hidden = false;
    this.#find("pre").textContent = answer.exchange;
  }

  #conflict(problem) {
    const [base, theirs, mine] = [this.#base.playlist, problem.current, this.#content()];
    const version = theirs.playlist_version;
    this.tell(
      "conflict",
      `Conflict (${problem.status}). `,
      `Nothing was written: you changed version ${base.playlist_version}, and the playlist is at version ${version}.`,
    );
    const list = document.createElement("dl");
    const member = (title, ...sentences) => {
      const [term, ...descriptions] = ["dt", ...sentences.map(() => "dd")].map((tag) => document.createElement(tag));
      term.textContent = title;
      descriptions.forEach((description, at) => { description.textContent = sentences[at]; });
      list.append(term, ...descriptions);
    };
    member("What the other one changed", ...described(base, theirs));
    member("What you changed", ...described(base, mine));
    const actions = document.createElement("div");
    actions.className = "actions";
    for (const [label, name] of choices(base, theirs, mine)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", onlyOnce(() => this.#merge(problem, name)));
      actions.append(button);
    }
    const panel = this.#find(".conflict");
    panel.replaceChildren(list, actions);
    panel.hidden = false;
    guide(`${this.#name} was late, and nothing is lost: the answer holds the playlist as it is now. Merge and save.`);
  }

  async #merge(problem, name) {
    const content = merged(this.#base.playlist, problem.current, this.#content(), name);
    this.show(problem.current, problem.current_etag, content);
    await this.#save();
    // The button that had the focus is gone.
    this.#find(".outcome").focus();
  }
}

// The ways to merge: one, unless both gave the playlist another name.
function choices(base, theirs, mine) {
  const names = [mine, theirs].map((content) => content.playlist_name);
  const bothRenamed = names[0] !== names[1] && !names.includes(base.playlist_name);
  return bothRenamed ? names.map((name) => [`Merge, and call it “${name}”`, name]) : [["Merge and save", names[0]]];
}

// What became of `base`, in sentences.
function described(base, now) {
  const edits = changes(base, now);
  const sentences = [];
  if ("playlist_name" in edits) sentences.push(`Name: from “${base.playlist_name}” to “${now.playlist_name}”`);
  if ("track_tokens" in edits) {
    const added = without(now.track_tokens, base.track_tokens);
    const removed = without(base.track_tokens, now.track_tokens);
    if (added.length > 0) sentences.push(`Added: ${added.join(", ")}`);
    if (removed.length > 0) sentences.push(`Removed: ${removed.join(", ")}`);
    if (added.length + removed.length === 0) sentences.push("The order of the tracks");
  }
  return sentences.length > 0 ? sentences : ["Nothing that stands here"];
}

async function start() {
  makingKey ??= newKey();
  let answer = await send("POST", "/playlists", { "Idempotency-Key": makingKey, body: START });
  if (answer.status === 422) {
    // A library may allow tracks of its own form only.
    makingKey = newKey();
    answer = await send("POST", "/playlists", {
      "Idempotency-Key": makingKey,
      body: { ...START, track_tokens: [] },
    });
  }
  if (!answer.ok) {
    guide(reason(answer).join(""));
    if (answer.status === 401) byId("token").focus();
    return;
  }
  makingKey = null;
  path = `/playlists/${encodeURIComponent(answer.content.playlist_token)}`;
  byId("writers").replaceChildren();
  for (const [name, edit] of Object.entries(EDITS)) {
    new Writer(name, saved).show(answer.content, answer.etag, edit(answer.content));
  }
  byId("start").hidden = true;
  byId("table").hidden = false;
  guide("Both have loaded version 1. Ann has renamed it, Ben has added a track. Save the one, then the other.");
  byId("guide").focus();
}

let savers = new Set();
function saved(name) {
  savers.add(name);
  guide(
    savers.size < Object.keys(EDITS).length
      ? `${name} was first. The other one still sees the version before: save that, too.`
      : "Both changes are in, and neither was overwritten. Change more, or finish.",
  );
}

async function finish() {
  const answer = await send("DELETE", path, { "If-Match": "*" });
  if (!answer.ok && answer.status !== 404) {
    guide(reason(answer).join(""));
    return;
  }
  reset();
  guide("The playlist is deleted.");
  byId("start").focus();
}

function reset() {
  path = null;
  savers = new Set();
  byId("writers").replaceChildren();
  byId("table").hidden = true;
  byId("start").hidden = false;
  guide("");
}

byId("start").addEventListener("click", onlyOnce(start));
byId("finish").addEventListener("click", onlyOnce(finish));
byId("token-form").addEventListener("submit", onlyOnce(async () => {
  token = byId("token").value;
  byId("token").value = "";
  byId("token-form").hidden = true;
  byId("guide").focus();
  if (path === null) await start();
  else guide("The token is taken. Press again what was refused.");
}));
addEventListener("pagehide", () => {
  if (path === null) return;
  fetch(path, { method: "DELETE", headers: headers({ "If-Match": "*" }), keepalive: true }).catch(() => {});
  reset();
});
