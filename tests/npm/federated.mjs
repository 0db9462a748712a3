// A federated gateway of Apollo's before our subgraph and one of reviews: [{url, sdl} of ours, two free ports] in.
// It tells "ready" once it listens on the first port, and keeps the requests that it has sent to ours under /sent.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { graphql, parse } = require("graphql");
const { composeServices } = require("@apollo/composition");
const { ApolloGateway, RemoteGraphQLDataSource } = require("@apollo/gateway");
const { buildSubgraphSchema } = require("@apollo/subgraph");

const [ours, port, reviewsPort] = JSON.parse(readFileSync(process.argv[2], "utf8"));
const REVIEWS = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.6", import: ["@key"])
  type Query { reviews(articles: [Int!]!): [Review!]! }
  type Review { text: String!, article: Article! }
  type Article @key(fields: "id") { id: Int!, reviews: [Review!]! }
`;
const review = (id) => ({ text: `On article ${id}`, article: { __typename: "Article", id } });
const reviews = buildSubgraphSchema([
  {
    typeDefs: parse(REVIEWS),
    resolvers: {
      Query: { reviews: (_, { articles }) => articles.map(review) },
      Article: { __resolveReference: (article) => article, reviews: ({ id }) => [review(id)] },
    },
  },
]);
const reviewsUrl = `http://127.0.0.1:${reviewsPort}/`;
const sent = [];

class DataSource extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    if (context.authorization) request.http.headers.set("authorization", context.authorization);
    if (this.url === ours.url) sent.push({ query: request.query, variables: request.variables });
  }
}

function supergraph() {
  const services = [
    { name: "lakeport", url: ours.url, typeDefs: parse(ours.sdl) },
    { name: "reviews", url: reviewsUrl, typeDefs: parse(REVIEWS) },
  ];
  const { errors, supergraphSdl } = composeServices(services);
  if (errors?.length) throw new Error(errors.join("\n"));
  return supergraphSdl;
}

function serve(at, answer) {
  const server = createServer(async (request, response) => {
    const parts = await request.toArray();
    const told = await answer(request, parts.length ? JSON.parse(Buffer.concat(parts)) : {});
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(told));
  });
  return new Promise((resolve) => server.listen(at, "127.0.0.1", resolve));
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const gateway = new ApolloGateway({
  supergraphSdl: supergraph(),
  buildService: ({ url }) => new DataSource({ url, fetcher: fetch }),
  logger: silent,
});
const { executor } = await gateway.load();

function execute({ headers }, { query, variables }) {
  const request = { query, variables };
  const context = { authorization: headers.authorization };
  return executor({ request, context, document: parse(query), queryHash: query, schema: gateway.schema, metrics: {} });
}

await serve(reviewsPort, (_, { query, variables }) => graphql({ schema: reviews, source: query, variableValues: variables }));
await serve(port, (request, body) => (request.url === "/sent" ? sent.splice(0) : execute(request, body)));
console.log("ready");
