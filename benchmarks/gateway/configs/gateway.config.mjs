import { defineConfig } from '@graphql-hive/gateway';

const name = (value) => ({ kind: 'Name', value });
// What the page of users is asked for: the fields asked of a user, below `data`.
const underData = (selectionSet) => ({
  kind: 'SelectionSet',
  selections: [{ kind: 'Field', name: name('data'), selectionSet }],
});
const byId = (page, ids) => {
  const found = new Map(page.data.map((user) => [user.id, user]));
  return ids.map((id) => found.get(id) ?? null);
};

export const gatewayConfig = defineConfig({
  supergraph: process.env.SUPERGRAPH,
  jit: true,
  logging: 'error',
  additionalResolvers: {
    Article: {
      author: {
        selectionSet: '{ author_id }',
        // With `key` and `argsFromKeys` its DataLoader makes one call for all authors of a request.
        resolve: (root, _args, context, info) =>
          context.core.Query.users({
            root,
            key: root.author_id,
            argsFromKeys: (ids) => ({ ids: ids.join(',') }),
            selectionSet: underData,
            valuesFromResults: byId,
            context,
            info,
          }),
      },
    },
  },
});
