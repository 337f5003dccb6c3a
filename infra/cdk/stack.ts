// infra/template.yaml as a CDK stack. Owns: how its parameters get their values, and how its functions get built;
// what the stack contains is the template's to say.
import { fileURLToPath } from "node:url";
import { CfnCondition, CfnParameter, Stack, type StackProps, Token, Validations } from "aws-cdk-lib";
import { Architecture } from "aws-cdk-lib/aws-lambda";
import type { CfnFunction } from "aws-cdk-lib/aws-sam";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { Bundling } from "cargo-lambda-cdk/lib/bundling.js";
import type { Construct } from "constructs";
import type variants from "../templates/variants.json";

const templateFile = fileURLToPath(new URL("../template.yaml", import.meta.url));

/** The names of the template's parameters: a check holds that this variant gives a value to each. */
export type ParameterName = keyof (typeof variants)["everything"];
/** Any of them may be a token, such as another stack's output. */
export type ParameterValue = string | number | string[];
export type Parameters = { [name in ParameterName]?: ParameterValue };

export interface AgentProps extends StackProps {
  /**
   * By their names in infra/template.yaml, which has their meanings and bounds. @default the app's context, which
   * `-c NAME=VALUE` sets, then the template's defaults
   */
  readonly parameters?: Readonly<Parameters>;
}

/** The stack with its parameters' values written in, so that none is left over from an earlier deployment. */
export class AgentStack extends Stack {
  constructor(scope: Construct, id: string, props: AgentProps = {}) {
    super(scope, id, props);
    this.addTransform("AWS::LanguageExtensions"); // It has to come first.
    const parameters = { ...props.parameters };
    for (const parameter of declaredParameters()) {
      const name = parameter.node.id as ParameterName;
      parameters[name] = checked(parameter, parameters[name] ?? this.node.tryGetContext(name));
    }
    const template = new CfnInclude(this, "Template", { templateFile, parameters });
    for (const child of template.node.findAll()) {
      if (child instanceof CfnCondition) child.expression = Token.asAny(decided(this.resolve(child.expression)));
    }
    Validations.of(this).acknowledge(...["W1028", "W8003", "W9053"].map((rule) => (
      { id: `CloudFormation-Validate::${rule}`, reason: "With values written in, conditions are constant." }
    )));
    build(template.getResource("HttpFunction") as CfnFunction, "http");
    // TLS and IAM for librdkafka.
    build(template.getResource("KafkaFunction") as CfnFunction, "kafka", "--features", "msk");
  }
}

/** As the template declares them. */
function declaredParameters(): CfnParameter[] {
  const children = new CfnInclude(new Stack(), "Template", { templateFile }).node.findAll();
  return children.filter((child) => child instanceof CfnParameter);
}

/** The value for that parameter in its type. Throws where CloudFormation would refuse it. */
function checked(parameter: CfnParameter, value: ParameterValue = parameter.default): ParameterValue {
  if (Token.isUnresolved(value) && parameter.allowedValues === undefined) return value;
  const text = String(value);
  if (parameter.type === "CommaDelimitedList") return text.split(",").filter((item) => item !== "");
  const { allowedPattern = "[^]*", allowedValues = [text], maxValue = Infinity, type } = parameter;
  const bounded = type !== "Number" || Number(text) <= maxValue;
  if (!bounded || !allowedValues.includes(text) || !new RegExp(`^(?:${allowedPattern})$`).test(text)) {
    throw new Error(`infra/template.yaml does not allow ${parameter.node.id} to be "${text}"`);
  }
  return type === "Number" ? Number(text) : text;
}

/** A condition may not refer to what only the deployment knows, which equals none of the texts in question. */
function decided(condition: unknown): unknown {
  const known = (operand: unknown) => (typeof operand === "object" ? "known when deployed" : operand);
  return JSON.parse(JSON.stringify(condition), (key, value) => (key === "Fn::Equals" ? value.map(known) : value));
}

/** Has CDK build that function of this workspace with cargo-lambda. */
function build(resource: CfnFunction, folder: string, ...cargoLambdaFlags: string[]): void {
  const code = Bundling.bundle({
    // The crate's own manifest: cargo then builds that crate, and CDK looks at that folder only.
    manifestPath: fileURLToPath(new URL(`../../functions/${folder}/Cargo.toml`, import.meta.url)),
    binaryName: `a2a-${folder}`,
    architecture: Architecture.ARM_64,
    cargoLambdaFlags,
  });
  const { bucketName: bucket, objectKey: key } = code.bind(resource).s3Location!;
  resource.codeUri = { bucket, key };
}
