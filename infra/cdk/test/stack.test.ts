// What only CDK can check. That the stack says what infra/template.yaml says is checked in infra/templates, on
// what this writes to the folder CDK_TEMPLATES.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import test from "node:test";
import { App, Fn, Validations } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { AwsSolutionsChecks, ServerlessChecks } from "cdk-nag";
import { fromParameters } from "../parameters.ts";
import { AgentStack, type AgentProps } from "../stack.ts";

const variants = new URL("../../templates/variants.json", import.meta.url);
const VARIANTS: Record<string, Record<string, string>> = JSON.parse(readFileSync(variants, "utf8"));

function variant(name: string): AgentProps {
  return fromParameters((parameter) => VARIANTS[name]?.[parameter]);
}

/** The template of this stack. CDK's own findings are errors; cdk-nag's too, where it is asked. */
function synthesized(props: AgentProps, nag = false): Template {
  // No stack's code is to be built.
  const context = { "aws:cdk:bundling-stacks": [], "@aws-cdk/core:validateAgainstDefaultRules": true };
  const app = new App({ context });
  if (nag) Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
  new AgentStack(app, "Agent", props);
  return Template.fromJSON(app.synth().getStackByName("Agent").template);
}

for (const name of Object.keys(VARIANTS)) {
  test(`the variant ${name} calls in streams`, () => {
    // An open API is nothing cdk-nag lets pass.
    const template = synthesized(variant(name), VARIANTS[name]?.["HttpAuth"] !== "NONE");
    template.allResourcesProperties("AWS::ApiGateway::Method", {
      Integration: Match.objectLike({ ResponseTransferMode: "STREAM", TimeoutInMillis: 900_000 }),
    });
    const folder = process.env["CDK_TEMPLATES"];
    if (folder !== undefined) writeFileSync(`${folder}/${name}.json`, JSON.stringify(template.toJSON()));
  });
}

test("cdk-nag lets everything else pass", () => {
  synthesized({ ...variant("everything"), httpAuth: "AWS_IAM" }, true);
});

test("cdk-nag finds an open API", (context) => {
  const report = context.mock.method(process.stderr, "write", () => true);
  assert.throws(() => synthesized({ httpAuth: "NONE" }, true), /Validation failed/);
  assert.match(report.mock.calls.map((call) => call.arguments[0]).join(""), /AwsSolutions-APIG4/);
});

test("the cluster's ARN may be known only to CloudFormation", () => {
  const clusterArn = Fn.importValue("cluster");
  const kafka = { clusterArn, brokers: "b:9098", subnetIds: [], securityGroupIds: [] };
  const arn = { "Fn::ImportValue": "cluster" };
  const topics = { "Fn::Join": [":topic/", { "Fn::Split": [":cluster/", arn] }] };
  const reads = { Sid: "MappingRequests", Resource: { "Fn::Join": ["", [topics, "/agent.data.requests"]] } };
  synthesized({ kafka }).hasResourceProperties("AWS::IAM::Role", {
    Policies: [{ PolicyDocument: { Statement: Match.arrayWith([Match.objectLike(reads)]) } }],
  });
});
