// The parameters of infra/template.yaml, by their names there, as properties of the stack.
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import type { AgentProps, Network } from "./stack.ts";

/** Properties from text: what `get` does not know stays at its default. */
export function fromParameters(get: (name: string) => string | undefined): AgentProps {
  const number = (name: string) => each(get(name), Number);
  const seconds = (name: string) => each(number(name), Duration.seconds);
  const list = (name: string) => each(get(name), (text) => text.split(",")) ?? [];
  const network: Network = { subnetIds: list("SubnetIds"), securityGroupIds: list("SecurityGroupIds") };
  return {
    agentName: get("AgentName"),
    storeUrl: get("StoreUrl"),
    tableRemovalPolicy: get("TableDeletionPolicy") === "Delete" ? RemovalPolicy.DESTROY : undefined,
    logLevel: get("LogLevel"),
    logRetention: number("LogRetentionDays"),
    tracing: get("Tracing") === "Active",
    memorySize: number("MemorySize"),
    httpAuth: get("HttpAuth") as AgentProps["httpAuth"],
    httpTimeout: seconds("HttpTimeout"),
    publicUrl: get("PublicUrl"),
    throttle: { rate: number("ThrottleRate"), burst: number("ThrottleBurst") },
    createApiLogsRole: get("ApiLogsRole") !== "keep",
    httpNetwork: get("HttpInVpc") === "true" ? network : undefined,
    kafkaPublic: get("KafkaPublic"),
    tokens: each(get("Jwks"), (jwks) => ({
      jwks,
      issuer: get("JwtIssuer") ?? "",
      audience: get("JwtAudience") ?? "",
    })),
    kafka: each(get("MskClusterArn"), (clusterArn) => ({
      clusterArn,
      brokers: get("KafkaBrokers") ?? "",
      replyTopics: each(get("ReplyTopics"), (pattern) => [pattern]),
      ...network,
      timeout: seconds("KafkaTimeout"),
      batchWindow: seconds("BatchWindowSeconds"),
      minPollers: number("MinPollers"),
      maxPollers: number("MaxPollers"),
      giveUpAfter: seconds("GiveUpAfterSeconds"),
      maxRetries: number("MaxRetries"),
      maxRecordAge: seconds("MaxRecordAgeSeconds"),
    })),
  };
}

function each<T, U>(value: T | undefined, make: (value: T) => U): U | undefined {
  return value === undefined ? undefined : make(value);
}
