// graphql-eslint's recommended and Relay rules for schemas: {sdl} in, [{rule, coordinate, message}] out.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import graphqlPlugin, { parser } from "@graphql-eslint/eslint-plugin";
import { ESLint } from "eslint";

const { sdl } = JSON.parse(readFileSync(0, "utf8"));
const rules = { ...graphqlPlugin.configs["flat/schema-recommended"].rules, ...graphqlPlugin.configs["flat/schema-relay"].rules };
const eslint = new ESLint({
  cwd: fileURLToPath(new URL(".", import.meta.url)),
  overrideConfigFile: true,
  overrideConfig: [
    {
      files: ["**/*.graphql"],
      languageOptions: { parser, parserOptions: { graphQLConfig: { schema: sdl } } },
      plugins: { "@graphql-eslint": graphqlPlugin },
      rules,
    },
  ],
});
const [{ messages }] = await eslint.lintText(sdl, { filePath: "schema.graphql" });
console.log(JSON.stringify(messages.map(({ ruleId, message, line, column }) => ({ rule: ruleId, message, line, column }))));
