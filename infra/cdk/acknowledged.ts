// Findings of cdk-nag that stand, each with its reason. Any other fails the test.
import { type Stack, Validations } from "aws-cdk-lib";
import type { Construct } from "constructs";

const PUSH_LOGS = "arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs";

const STACK = {
  "AwsSolutions-APIG2": "The function checks requests itself and answers with the protocol's own errors.",
  "AwsSolutions-APIG3": "A web ACL is billed by itself; who has one associates it with the stage.",
  "AwsSolutions-APIG6": "Access logs tell each request and its error; execution logs would never expire.",
  "AwsSolutions-COG4": "Callers sign with IAM; how to bring a user pool is said at the methods.",
  [`AwsSolutions-IAM4[Policy::${PUSH_LOGS}]`]: "Made by AWS for this role: it writes the logs of every API.",
  "AwsSolutions-IAM5[Resource::<Tasks.Arn>/index/*]": "The indexes of this stack's table.",
  "AwsSolutions-IAM5[Resource::*]": "Network interfaces and traces have no names beforehand.",
  "Serverless-LambdaStarPermissions": "Network interfaces and traces have no names beforehand.",
  "Serverless-LambdaDLQ": "Both functions are called synchronously; the mapping has its failures topic.",
  "Serverless-LambdaTracing": "The property `tracing` turns it on.",
  "Serverless-APIGWXrayEnabled": "The property `tracing` turns it on.",
};

const CARD = { "AwsSolutions-APIG4": "The card is public: clients read there how to authenticate." };

/** Acknowledges that the function may write to every topic of a pattern, where its ARN is known already. */
export function acknowledgePattern(stack: Stack, arn: string): void {
  const known: unknown = stack.resolve(arn);
  if (typeof known !== "string") return;
  const reason = "Which topics clients may have answers on is the operator's to say, in a pattern.";
  Validations.of(stack).acknowledge({ id: `AwsSolutions-IAM5[Resource::${known}]`, reason });
}

/** Acknowledges the findings on the stack and, what is open, on the card's method alone. */
export function acknowledge(stack: Construct, card: Construct): void {
  for (const [scope, findings] of [[stack, STACK], [card, CARD]] as const) {
    for (const [id, reason] of Object.entries(findings)) Validations.of(scope).acknowledge({ id, reason });
  }
}
