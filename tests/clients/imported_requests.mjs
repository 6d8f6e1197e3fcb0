// What importers make of the OpenAPI document: `node imported_requests.mjs openapi.json`.
//
// Prints, for Postman and Bruno, the requests of the collection: method, URL, and the names of the headers
// that are switched on.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

const [, , path] = process.argv;
const require = createRequire(path); // The importers are installed beside the document.
const { convertV2 } = require("openapi-to-postmanv2");
const { openApiToBruno } = require("@usebruno/converters");

const flatten = (item, children) => (item[children] ? item[children].flatMap((child) => flatten(child, children)) : [item]);
const valueOf = (variables, name) => variables.find((variable) => (variable.key ?? variable.name) === name).value;

const postman = async () => {
  // Its importer has this setting; else it switches on whatever is optional, be there an example or not.
  const options = { enableOptionalParameters: false, parametersResolution: "Example" };
  const converted = await promisify(convertV2)({ type: "string", data: readFileSync(path, "utf8") }, options);
  if (!converted.result) throw new Error(converted.reason);
  const collection = converted.output[0].data;
  return flatten(collection, "item").map(({ request }) => ({
    method: request.method,
    url: `${valueOf(collection.variable, "baseUrl")}/${request.url.path.join("/")}`,
    headers: (request.header ?? []).filter((header) => !header.disabled).map((header) => header.key),
  }));
};

const bruno = async () => {
  const collection = await openApiToBruno(JSON.parse(readFileSync(path, "utf8")));
  const [environment] = collection.environments;
  return flatten(collection, "items").map(({ request }) => ({
    method: request.method,
    url: request.url.replace("{{baseUrl}}", valueOf(environment.variables, "baseUrl")),
    headers: request.headers.filter((header) => header.enabled).map((header) => header.name),
  }));
};

console.log(JSON.stringify({ postman: await postman(), bruno: await bruno() }));
