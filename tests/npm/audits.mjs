// The audits of graphql-http against a server: {url, headers} in, [{id, name, status, reason}] out.
import { readFileSync } from "node:fs";
import { serverAudits } from "graphql-http";

const { url, headers } = JSON.parse(readFileSync(0, "utf8"));
const fetchFn = (target, init = {}) => fetch(target, { ...init, headers: { ...headers, ...init.headers } });

async function result({ id, name, fn }) {
  const { status, reason = null } = await fn();
  return { id, name, status, reason };
}

console.log(JSON.stringify(await Promise.all(serverAudits({ url, fetchFn }).map(result))));
