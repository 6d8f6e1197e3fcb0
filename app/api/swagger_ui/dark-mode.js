// Swagger UI has colours for the dark, and leaves it to the page to ask for them. Before the first paint.
const dark = matchMedia("(prefers-color-scheme: dark)");
const apply = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", apply);
apply();
