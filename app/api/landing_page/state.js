// Whether the service is ready, as /readyz says.
const line = document.getElementById("state");
const PAUSE_MILLISECONDS = 15_000;

function show(state, text) {
  line.dataset.state = state;
  // A screen reader says what is written here, so only what is new is.
  if (line.textContent !== text) line.textContent = text;
}

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/readyz", { cache: "no-store" });
    if (answer.ok) show("ready", "Ready: this service and its table answer");
    else show("failing", `Not ready: ${(await answer.json()).title}`);
  } catch {
    show("failing", "The service does not answer");
  }
}

document.addEventListener("visibilitychange", look);
setInterval(look, PAUSE_MILLISECONDS);
look();
