// Apollo's suite for subgraphs: {url, ports} in, [{name, failure}] out. The suite's own tests, its two other subgraphs
// and its schema are taken as they are; its router, a binary from elsewhere, has Apollo's gateway in its place, and the
// runner of its tests is ours, with Jest's own `expect`.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const { parse } = require("graphql");
const { composeServices } = require("@apollo/composition");
const { ApolloGateway, RemoteGraphQLDataSource } = require("@apollo/gateway");

const ROUTER = "http://localhost:4000/";
const suite = dirname(require.resolve("@apollo/federation-subgraph-compatibility-tests/package.json"));
const { url, ports } = JSON.parse(readFileSync(0, "utf8"));
const json = { "content-type": "application/json", accept: "application/json" };

async function ask(target, body) {
  return fetch(target, { method: "POST", headers: json, body: JSON.stringify(body) });
}

async function started(target) {
  for (;;) {
    const answer = await ask(target, { query: "{ __typename }" }).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const others = Object.entries(ports).map(([name, port]) => {
  const env = { ...process.env, [`${name.toUpperCase()}_PORT`]: String(port) };
  const folder = join(suite, "dist", "subgraphs", name);
  const child = spawn(process.execPath, ["index.js"], { cwd: folder, env, stdio: "ignore" });
  return { name, child, url: `http://127.0.0.1:${port}/`, sdl: readFileSync(join(folder, `${name}.graphql`), "utf8") };
});

async function router() {
  await Promise.all(others.map((each) => started(each.url)));
  const { data } = await (await ask(url, { query: "{ _service { sdl } }" })).json();
  const services = [{ name: "products", url, sdl: data._service.sdl }, ...others];
  const { errors, supergraphSdl } = composeServices(
    services.map((each) => ({ name: each.name, url: each.url, typeDefs: parse(each.sdl) })),
  );
  if (errors?.length) throw new Error(errors.join("\n"));
  const gateway = new ApolloGateway({
    supergraphSdl,
    buildService: (service) => new RemoteGraphQLDataSource({ ...service, fetcher: fetch }),
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  const { executor } = await gateway.load();
  return (request) =>
    executor({ request, context: {}, document: parse(request.query), queryHash: request.query, schema: gateway.schema, metrics: {} });
}

async function run() {
  const route = await router();
  process.env.PRODUCTS_URL = url;
  const sent = async (target, options) =>
    target === ROUTER ? Response.json(await route(JSON.parse(options.body))) : fetch(target, options);
  const fetcher = require.resolve("make-fetch-happen", { paths: [suite] });
  require.cache[fetcher] = { id: fetcher, filename: fetcher, loaded: true, exports: sent };
  const tests = [];
  let group = null;
  const test = (name, check) => tests.push({ name: group ?? name, check });
  const describe = (name, define) => {
    group = name;
    define();
    group = null;
  };
  Object.assign(globalThis, { test, it: test, describe, expect: require("expect").expect });
  const folder = join(suite, "dist", "tests");
  readdirSync(folder).filter((name) => name.endsWith(".test.js")).forEach((name) => require(join(folder, name)));
  const results = [];
  for (const { name, check } of tests) {
    const failure = await Promise.resolve().then(check).then(() => null, String);
    results.push({ name, failure });
  }
  return results;
}

try {
  console.log(JSON.stringify(await run()));
} finally {
  others.forEach(({ child }) => child.kill());
}
process.exit(0);
