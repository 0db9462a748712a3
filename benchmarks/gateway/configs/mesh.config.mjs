import { defineConfig } from '@graphql-mesh/compose-cli';
import { loadJSONSchemaSubgraph } from '@omnigraph/json-schema';

const object = (title, properties) => ({ title, type: 'object', properties });
const list = (items) => ({ type: 'array', items });
const integer = { type: 'integer' };
const string = { type: 'string' };

export const composeConfig = defineConfig({
  subgraphs: [
    {
      sourceHandler: loadJSONSchemaSubgraph('core', {
        endpoint: process.env.CORE_URL,
        operationHeaders: { Authorization: '{context.headers.authorization}' },
        operations: [
          {
            type: 'Query',
            field: 'articles',
            path: '/articles?limit=100&select=author_id,id,title',
            method: 'GET',
            responseSchema: object('Articles', {
              data: list(object('Article', { id: integer, title: string, author_id: integer })),
            }),
          },
          {
            type: 'Query',
            field: 'users',
            path: '/users?id=in.({args.ids})&select=id,username&limit=100',
            method: 'GET',
            argTypeMap: { ids: string },
            responseSchema: object('Users', { data: list(object('User', { id: integer, username: string })) }),
          },
        ],
      }),
    },
  ],
  additionalTypeDefs: /* GraphQL */ `
    extend type Article {
      author: User
    }
  `,
});
