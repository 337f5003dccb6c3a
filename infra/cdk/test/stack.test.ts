// What only CDK can check. That the stack is infra/template.yaml is checked in infra/templates, on what this writes to
// the folder CDK_TEMPLATES.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import test from "node:test";
import { App, Fn } from "aws-cdk-lib";
import { AgentStack, type Parameters } from "../stack.ts";

const variants = new URL("../../templates/variants.json", import.meta.url);
const VARIANTS: Record<string, Record<string, string>> = JSON.parse(readFileSync(variants, "utf8"));

/** The template of the stack, of which no code is built. CDK's own findings are errors. */
function synthesized(parameters: Parameters, context: Record<string, string> = {}) {
  const own = { "aws:cdk:bundling-stacks": [], "@aws-cdk/core:validateAgainstDefaultRules": true };
  const app = new App({ context: { ...context, ...own } });
  new AgentStack(app, "Agent", { parameters });
  return app.synth().getStackByName("Agent").template;
}

for (const [name, parameters] of Object.entries(VARIANTS)) {
  test(`CDK finds nothing in the variant ${name}`, () => {
    const template = synthesized({}, parameters);
    const folder = process.env["CDK_TEMPLATES"];
    if (folder !== undefined) writeFileSync(`${folder}/${name}.json`, JSON.stringify(template));
  });
}

test("the cluster's ARN may be known only to CloudFormation", () => {
  const subnets = ["subnet-0123456789abcdef0"];
  const template = synthesized({ MskClusterArn: Fn.importValue("cluster"), SubnetIds: subnets });
  const { KafkaFunction, KafkaRole } = template.Resources;
  assert.deepEqual(KafkaFunction.Properties.VpcConfig.SubnetIds, subnets);
  const notEmpty = { "Fn::Not": [{ "Fn::Equals": ["known when deployed", ""] }] };
  assert.deepEqual(template.Conditions[KafkaFunction.Condition], notEmpty);
  const topics = { "Fn::Join": [":topic/", { "Fn::Split": [":cluster/", { "Fn::ImportValue": "cluster" }] }] };
  const statements: { Sid: string; Resource: unknown }[] = KafkaRole.Properties.Policies[0].PolicyDocument.Statement;
  const reads = statements.find((statement) => statement.Sid === "MappingRequests");
  assert.deepEqual(reads?.Resource, { "Fn::Sub": ["${Topics}/agent.data.requests", { Topics: topics }] });
});

test("what the template does not allow is refused", () => {
  const token = Fn.importValue("auth");
  for (const wrong of [{ HttpAuth: "none" }, { HttpAuth: token }, { AgentName: "a b" }, { KafkaTimeout: 841 }]) {
    assert.throws(() => synthesized(wrong), /does not allow/);
  }
  assert.throws(() => synthesized({ MinPollers: "two" }), /does not allow/);
  assert.throws(() => synthesized({ HttpAut: "NONE" } as Parameters), /HttpAut/);
});
