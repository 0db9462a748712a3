// Subgraphs composed by Apollo's composer and by The Guild's: {name: {url, sdl}} in, {apollo, guild} out, each with its
// errors, hints and supergraph.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// Both composers want one copy of graphql, which is the one that require gives.
const require = createRequire(import.meta.url);
const { parse } = require("graphql");
const apollo = require("@apollo/composition");
const guild = require("@theguild/federation-composition");

const subgraphs = Object.entries(JSON.parse(readFileSync(0, "utf8"))).map(([name, { url, sdl }]) => ({
  name,
  url,
  typeDefs: parse(sdl),
}));

function told({ errors = [], hints = [], supergraphSdl = null }) {
  const texts = (list) => (list ?? []).map((each) => `${each.extensions?.code ?? each.definition?.code ?? ""} ${each.message}`);
  return { errors: texts(errors), hints: texts(hints), supergraph: supergraphSdl };
}

const composed = { apollo: apollo.composeServices(subgraphs), guild: guild.composeServices(subgraphs) };
console.log(JSON.stringify({ apollo: told(composed.apollo), guild: told(composed.guild) }));
