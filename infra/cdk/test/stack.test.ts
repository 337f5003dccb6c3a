// What only an app can give: values that are not text. That the stack is infra/template.yaml, with the values that
// `-c` gives, is checked in infra/templates.
import assert from "node:assert/strict";
import test from "node:test";
import { App, Fn } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { AgentStack, type Parameters } from "../stack.ts";

/** The template of this stack, of which no code is built. CDK's own findings are errors. */
function synthesized(parameters: Parameters): Template {
  const context = { "aws:cdk:bundling-stacks": [], "@aws-cdk/core:validateAgainstDefaultRules": true };
  const app = new App({ context });
  new AgentStack(app, "Agent", { parameters });
  return Template.fromJSON(app.synth().getStackByName("Agent").template);
}

test("the cluster's ARN may be known only to CloudFormation", () => {
  const subnets = ["subnet-0123456789abcdef0"];
  const template = synthesized({ MskClusterArn: Fn.importValue("cluster"), SubnetIds: subnets, KafkaTimeout: 840 });
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
    assert.throws(() => synthesized(wrong), /does not allow/);
  }
  assert.throws(() => synthesized({ HttpAut: "NONE" } as Parameters), /no parameters HttpAut/);
});
