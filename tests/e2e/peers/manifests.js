// Checks Kubernetes objects against the schemas of their kinds, those of custom resources too.
//
// Reads a JSON array of objects from standard input. Prints one line a fault, "KIND/NAME PATH: what is wrong"; exit 1 if
// there was one. A key that the schema does not know is a fault: the API server would drop it without a word.
const fs = require("node:fs");

const PACKAGES = {
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
  "cert-manager.io": "@kubernetes-models/cert-manager",
};

// The class of the kind; undefined where no package has it.
function modelOf(object) {
  const group = object.apiVersion.includes("/") ? object.apiVersion.split("/")[0] : "";
  try {
    return require(`${PACKAGES[group] ?? "kubernetes-models"}/${object.apiVersion}/${object.kind}`)[object.kind];
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND" && error.code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw error;
    return undefined;
  }
}

// `value`, whose every key that is looked at becomes a path in `seen`: the compiled schemas look at each key that they know.
function watched(value, path, seen) {
  if (value === null || typeof value !== "object") return value;
  return new Proxy(value, {
    get(target, key) {
      if (typeof key !== "string" || !Object.hasOwn(target, key)) return target[key];
      seen.add(`${path}/${key}`);
      return watched(target[key], `${path}/${key}`, seen);
    },
  });
}

function* paths(value, path) {
  if (value === null || typeof value !== "object") return;
  for (const key of Object.keys(value)) {
    yield `${path}/${key}`;
    yield* paths(value[key], `${path}/${key}`);
  }
}

function* faults(object) {
  const model = modelOf(object);
  if (!model) return yield `no schema for ${object.apiVersion} ${object.kind}`;
  const seen = new Set();
  try {
    model.prototype.validate.call(watched(object, "", seen));
  } catch (error) {
    yield error.message;
    return;
  }
  const unknown = [...paths(object, "")].filter((path) => !seen.has(path));
  // What is below an unknown key is unknown too: the key alone is said.
  for (const path of unknown) if (!unknown.includes(path.slice(0, path.lastIndexOf("/")))) yield `${path}: no such key`;
}

let count = 0;
for (const object of JSON.parse(fs.readFileSync(0, "utf8"))) {
  for (const fault of faults(object)) {
    console.log(`${object.kind}/${object.metadata?.name} ${fault}`);
    count += 1;
  }
}
process.exit(count ? 1 : 0);
