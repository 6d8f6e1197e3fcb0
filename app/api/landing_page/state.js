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
    const { status, title } = await answer.json();
    if (!answer.ok) show("failing", `Not ready: ${title}`);
    else if (status === "degraded") show("failing", "Ready, but DynamoDB throttles: some requests are refused");
    else show("ready", "Ready: this service and its table answer");
  } catch {
    show("failing", "The service does not answer");
  }
}

document.addEventListener("visibilitychange", look);
setInterval(look, PAUSE_MILLISECONDS);
look();
