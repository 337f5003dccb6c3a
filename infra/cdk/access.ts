// What the functions may do: named actions on named resources.
import { Fn } from "aws-cdk-lib";
import { PolicyDocument, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { LogGroup } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";

/**
 * A function's role. A function with a role of its own gets none of the managed policies CDK attaches: they
 * reach every log group. The policy is part of the role: it is there when Lambda checks a new mapping.
 */
export function functionRole(scope: Construct, id: string, logs: LogGroup, access: PolicyStatement[]): Role {
  const logAccess = allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], logs.logGroupArn);
  return new Role(scope, id, {
    assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
    inlinePolicies: { agent: new PolicyDocument({ statements: [logAccess, ...access] }) },
  });
}

/** The tasks' table and its indexes. A transaction needs the actions of its parts, and no more. */
export function taskAccess(tableArn: string): PolicyStatement {
  const actions = ["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"];
  return allow("Tasks", of("dynamodb", actions), tableArn, `${tableArn}/index/*`);
}

/** A function in a VPC; Lambda makes its network interfaces, which have no names beforehand. */
export function networkAccess(...more: string[]): PolicyStatement {
  const actions = [
    "CreateNetworkInterface", "DescribeNetworkInterfaces", "DeleteNetworkInterface",
    "DescribeSubnets", "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses",
  ];
  return allow("Network", of("ec2", [...actions, ...more]), "*");
}

/** Lambda's mapping: it reads requests as a member of its group and writes failures. */
export function mappingAccess(cluster: string, names: MappingNames): PolicyStatement[] {
  const requests = topicArn(cluster, names.requests);
  const failures = topicArn(cluster, names.failures);
  const group = within(cluster, "group", names.group);
  const management = of("kafka", ["DescribeClusterV2", "GetBootstrapBrokers"]);
  return [
    allow("MappingCluster", [...management, "kafka-cluster:Connect"], cluster),
    allow("MappingRequests", of("kafka-cluster", ["DescribeTopic", "ReadData"]), requests),
    allow("MappingGroup", of("kafka-cluster", ["DescribeGroup", "AlterGroup"]), group),
    allow("MappingFailures", of("kafka-cluster", ["DescribeTopic", "WriteData"]), failures),
  ];
}

/** Two topics and a consumer group. */
export interface MappingNames {
  readonly requests: string;
  readonly group: string;
  readonly failures: string;
}

/** The function's producer. */
export function producerAccess(cluster: string, topics: string[]): PolicyStatement[] {
  const arns = topics.map((topic) => topicArn(cluster, topic));
  return [
    allow("ProducerCluster", of("kafka-cluster", ["Connect", "WriteDataIdempotently"]), cluster),
    allow("ProducerTopics", of("kafka-cluster", ["DescribeTopic", "WriteData"]), ...arns),
  ];
}

/** The ARN of a topic of that cluster, or of those of a pattern. */
export function topicArn(cluster: string, topic: string): string {
  return within(cluster, "topic", topic);
}

/** A topic's ARN is the cluster's with `topic` for `cluster` and the name at its end; a group's likewise. */
function within(cluster: string, kind: "topic" | "group", name: string): string {
  return `${Fn.join(`:${kind}/`, Fn.split(":cluster/", cluster))}/${name}`;
}

function of(service: string, actions: string[]): string[] {
  return actions.map((action) => `${service}:${action}`);
}

function allow(sid: string, actions: string[], ...resources: string[]): PolicyStatement {
  return new PolicyStatement({ sid, actions, resources });
}
