// What only CDK can check. That the stack is infra/template.yaml is checked in infra/templates, on what this writes to
// the folder CDK_TEMPLATES.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import test from "node:test";
import { App, Fn } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { agentFromContext, AgentStack, type Parameters } from "../stack.ts";

const variants = new URL("../../templates/variants.json", import.meta.url);
const VARIANTS: Record<string, Record<string, string>> = JSON.parse(readFileSync(variants, "utf8"));

/** The template of the stack that `add` adds, of which no code is built. CDK's own findings are errors. */
function synthesized(add: (app: App) => AgentStack, context: Record<string, string> = {}): Template {
  const own = { "aws:cdk:bundling-stacks": [], "@aws-cdk/core:validateAgainstDefaultRules": true };
  const app = new App({ context: { ...context, ...own } });
  const { stackName } = add(app);
  return Template.fromJSON(app.synth().getStackByName(stackName).template);
}

function agent(parameters: Parameters): Template {
  return synthesized((app) => new AgentStack(app, "Agent", { parameters }));
}

for (const [name, parameters] of Object.entries(VARIANTS)) {
  test(`CDK finds nothing in the variant ${name}`, () => {
    const template = synthesized(agentFromContext, parameters);
    const folder = process.env["CDK_TEMPLATES"];
    if (folder !== undefined) writeFileSync(`${folder}/${name}.json`, JSON.stringify(template.toJSON()));
  });
}

test("the cluster's ARN may be known only to CloudFormation", () => {
  const subnets = ["subnet-0123456789abcdef0"];
  const template = agent({ MskClusterArn: Fn.importValue("cluster"), SubnetIds: subnets, KafkaTimeout: 840 });
  template.hasResource("AWS::Serverless::Function", {
    Condition: "WithKafka",
    Properties: { Timeout: 840, VpcConfig: { SubnetIds: subnets } },
  });
  const { WithKafka } = template.toJSON()["Conditions"];
  assert.deepEqual(WithKafka, { "Fn::Not": [{ "Fn::Equals": ["known when deployed", ""] }] });
  const arn = { "Fn::ImportValue": "cluster" };
  const topics = { "Fn::Join": [":topic/", { "Fn::Split": [":cluster/", arn] }] };
  const requests = { "Fn::Sub": ["${Topics}/agent.data.requests", { Topics: topics }] };
  template.hasResourceProperties("AWS::IAM::Role", {
    Policies: [{
      PolicyDocument: {
        Statement: Match.arrayWith([Match.objectLike({ Sid: "MappingRequests", Resource: requests })]),
      },
    }],
  });
});

test("what the template does not allow is refused", () => {
  for (const wrong of [{ HttpAuth: "none" }, { AgentName: "a b" }, { KafkaTimeout: 841 }, { MinPollers: "two" }]) {
    assert.throws(() => agent(wrong), /does not allow/);
  }
  assert.throws(() => agent({ HttpAut: "NONE" } as Parameters), /no parameters HttpAut/);
});
