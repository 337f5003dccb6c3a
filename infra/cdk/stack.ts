// The agent's stack; infra/template.yaml is the same for SAM, and infra/templates holds the two equal.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import * as api from "aws-cdk-lib/aws-apigateway";
import { CfnTable, type CfnTableProps } from "aws-cdk-lib/aws-dynamodb";
import type { PolicyStatement } from "aws-cdk-lib/aws-iam";
import * as lambda from "aws-cdk-lib/aws-lambda";
import { KafkaDlq } from "aws-cdk-lib/aws-lambda-event-sources";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { RustFunction } from "cargo-lambda-cdk";
import type { Construct } from "constructs";
import { acknowledge, acknowledgePattern } from "./acknowledged.ts";
import {
  functionRole, mappingAccess, networkAccess, producerAccess, taskAccess, topicArn,
} from "./access.ts";

/** Where in a VPC a function is. */
export interface Network {
  readonly subnetIds: string[];
  readonly securityGroupIds: string[];
}

/** The Kafka side; its subnets reach the brokers and DynamoDB (a gateway endpoint will do). */
export interface KafkaProps extends Network {
  /** The MSK cluster that has the agent's topics. */
  readonly clusterArn: string;
  /** Its brokers for IAM: `HOST:9098,HOST:9098`. */
  readonly brokers: string;
  /** Topics on which clients may have their answers: patterns in which `*` is any text. @default none */
  readonly replyTopics?: string[];
  /** What a batch of records may take; at most 14 minutes. @default 5 minutes */
  readonly timeout?: Duration;
  /** How long a batch may wait to fill. @default not at all */
  readonly batchWindow?: Duration;
  /** Event pollers that are always there, and billed. @default 1 */
  readonly minPollers?: number;
  /**
   * Event pollers at most. Each runs up to five invocations at once, and each of those connects to the
   * brokers; an MSK broker takes 20 new IAM connections a second (4 on t3.small) and 3000 in all. @default 4
   */
  readonly maxPollers?: number;
  /**
   * The function answers older records that cannot be done with an error, and puts them aside. The store's
   * failover is outlived. It comes before the limits below, with which nobody is told. @default 5 minutes
   */
  readonly giveUpAfter?: Duration;
  /** Deliveries of a record after the first; then it goes to the failures topic. @default 100 */
  readonly maxRetries?: number;
  /** Older records go to the failures topic. @default 1 day */
  readonly maxRecordAge?: Duration;
}

export interface AgentProps extends StackProps {
  /** Its topics are `agent.NAME.requests`, `.responses`, `.dead-letter` and `.failures`. @default data */
  readonly agentName?: string;
  /**
   * Where tasks are kept. With `memory:` a task lives in one execution environment, unseen by the others,
   * until you choose `dynamodb:` (this stack's table) or `dynamodb://TABLE?region=REGION`. @default memory:
   */
  readonly storeUrl?: string;
  /** What becomes of the table when the stack is deleted. @default RETAIN */
  readonly tableRemovalPolicy?: RemovalPolicy.RETAIN | RemovalPolicy.DESTROY;
  /** What is logged, as in `RUST_LOG`. @default info */
  readonly logLevel?: string;
  /** @default 30 days */
  readonly logRetention?: RetentionDays;
  /** Trace requests and invocations with X-Ray. @default false */
  readonly tracing?: boolean;
  /** MB of each function. @default 512 */
  readonly memorySize?: number;
  /** Who calls, by bearer tokens. @default nobody is asked for one */
  readonly tokens?: { readonly jwks: string; readonly issuer: string; readonly audience: string };
  /** The brokers as clients see them, for the card. @default Kafka is not on the card */
  readonly kafkaPublic?: string;
  /**
   * AWS_IAM lets in signed requests. NONE leaves it to the function: everyone, or with `tokens` those who bring
   * one. The agent card is open either way. @default AWS_IAM
   */
  readonly httpAuth?: "AWS_IAM" | "NONE";
  /** What a call may take, streams included; at most 15 minutes. @default 2 minutes */
  readonly httpTimeout?: Duration;
  /** The address on the agent card. @default the one that was called */
  readonly publicUrl?: string;
  /** Requests that the API lets through: per second, and at once. @default 100 and 200 */
  readonly throttle?: { readonly rate?: number; readonly burst?: number };
  /** Set the one role per account and Region with which API Gateway writes logs. @default true */
  readonly createApiLogsRole?: boolean;
  /** For a store that only a VPC reaches. @default in none */
  readonly httpNetwork?: Network;
  /** @default no Kafka side */
  readonly kafka?: KafkaProps;
}

export class AgentStack extends Stack {
  private readonly agent: string;
  private readonly tasks: CfnTable;

  constructor(scope: Construct, id: string, private readonly props: AgentProps = {}) {
    super(scope, id, props);
    this.agent = props.agentName ?? "data";
    this.tasks = this.table();
    const http = this.httpFunction();
    const url = this.restApi(http).url;
    new CfnOutput(this, "ApiUrl", { value: url });
    new CfnOutput(this, "CardUrl", { value: `${url}.well-known/agent-card.json` });
    new CfnOutput(this, "TableName", { value: this.tasks.ref });
    new CfnOutput(this, "HttpFunctionName", { value: http.functionName });
    if (props.kafka) {
      const kafka = this.kafkaFunction(props.kafka);
      new CfnOutput(this, "KafkaFunctionName", { value: kafka.functionName });
    }
  }

  /** The tasks' journal and heads. */
  private table(): CfnTable {
    const definition = readFileSync(new URL("../table.json", import.meta.url), "utf8");
    const table = new CfnTable(this, "Tasks", {
      ...(camelCase(JSON.parse(definition)) as CfnTableProps),
      timeToLiveSpecification: { attributeName: "ttl", enabled: true },
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      sseSpecification: { sseEnabled: true },
    });
    table.applyRemovalPolicy(this.props.tableRemovalPolicy ?? RemovalPolicy.RETAIN);
    return table;
  }

  private httpFunction(): lambda.Function {
    const { httpNetwork, httpTimeout, publicUrl } = this.props;
    return this.rust("Http", "http", {
      cargoFlags: [],
      description: `A2A agent ${this.agent} over HTTP`,
      timeout: httpTimeout ?? Duration.minutes(2),
      access: httpNetwork ? [networkAccess()] : [],
      network: httpNetwork,
      environment: {
        A2A_PUBLIC_URL: publicUrl ?? "",
        // Routes are matched without the stage's name.
        AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH: "true",
      },
    });
  }

  private restApi(http: lambda.Function): api.RestApi {
    const { httpAuth, createApiLogsRole, throttle, tracing } = this.props;
    const rest = new api.RestApi(this, "Api", {
      description: this.agent,
      endpointTypes: [api.EndpointType.REGIONAL],
      // Without the account's role no stage can have access logs. CDK leaves it when the stack goes.
      cloudWatchRole: createApiLogsRole ?? true,
      deployOptions: {
        stageName: "prod",
        tracingEnabled: tracing ?? false,
        throttlingRateLimit: throttle?.rate ?? 100,
        throttlingBurstLimit: throttle?.burst ?? 200,
        accessLogDestination: new api.LogGroupLogDestination(this.logs("ApiLogs")),
        accessLogFormat: api.AccessLogFormat.custom(ACCESS_LOG),
      },
      defaultIntegration: new api.LambdaIntegration(http, {
        responseTransferMode: api.ResponseTransferMode.STREAM,
        // The longest a stream may last: the function's own timeout decides.
        timeout: Duration.minutes(15),
        scopePermissionToMethod: false,
      }),
    });
    const open = { authorizationType: api.AuthorizationType.NONE };
    // For JWTs an authorizer (a Lambda, or Cognito) goes here: a REST API has none of its own.
    const closed = httpAuth === "NONE" ? open : { authorizationType: api.AuthorizationType.IAM };
    rest.root.addMethod("ANY", undefined, closed);
    rest.root.addResource("{proxy+}").addMethod("ANY", undefined, closed);
    const card = rest.root.resourceForPath(".well-known/agent-card.json").addMethod("ANY", undefined, open);
    acknowledge(this, card);
    rest.node.tryRemoveChild("Endpoint"); // CDK's own output, which is ours once more
    return rest;
  }

  private kafkaFunction(kafka: KafkaProps): lambda.Function {
    const named = (end: string) => `agent.${this.agent}.${end}`;
    const mapping = { requests: named("requests"), group: named("lambda"), failures: named("failures") };
    const replyTopics = kafka.replyTopics ?? [];
    for (const pattern of replyTopics.filter((topic) => topic.includes("*"))) {
      acknowledgePattern(this, topicArn(kafka.clusterArn, pattern));
    }
    const kafkaFunction = this.rust("Kafka", "kafka", {
      // TLS and IAM for librdkafka.
      cargoFlags: ["--features", "msk"],
      description: `A2A agent ${this.agent} over Kafka`,
      timeout: kafka.timeout ?? Duration.minutes(5),
      // Lambda's mapping and the function share a role.
      access: [
        networkAccess("DescribeVpcs", "DescribeSecurityGroups"),
        ...mappingAccess(kafka.clusterArn, mapping),
        ...producerAccess(kafka.clusterArn, [named("responses"), named("dead-letter"), ...replyTopics]),
      ],
      network: kafka,
      environment: {
        A2A_KAFKA: kafka.brokers,
        A2A_KAFKA_AUTH: "iam",
        // A record's position names its task: clusters that share a store are told apart.
        A2A_KAFKA_SCOPE: kafka.clusterArn,
        A2A_KAFKA_MAX_AGE_SECONDS: `${(kafka.giveUpAfter ?? Duration.minutes(5)).toSeconds()}`,
        A2A_KAFKA_REPLY_TOPICS: replyTopics.join(","),
      },
    });
    // Not ManagedKafkaEventSource, which attaches a managed policy that reaches every cluster.
    new lambda.EventSourceMapping(this, "Requests", {
      target: kafkaFunction,
      eventSourceArn: kafka.clusterArn,
      kafkaTopic: mapping.requests,
      // It can never change, and no other mapping may have it.
      kafkaConsumerGroupId: mapping.group,
      // LATEST would skip what is produced while a mapping is created anew.
      startingPosition: lambda.StartingPosition.TRIM_HORIZON,
      batchSize: 100,
      maxBatchingWindow: kafka.batchWindow ?? Duration.seconds(0),
      // The function names the records to deliver again; without this any answer means: all done.
      reportBatchItemFailures: true,
      // The limits and the topic below need provisioned pollers. Without them a batch that fails comes again
      // until it expires, and its partition waits. They are the last resort, for an invocation that breaks off;
      // what the function can still answer, it gives up itself before.
      provisionedPollerConfig: {
        minimumPollers: kafka.minPollers ?? 1,
        maximumPollers: kafka.maxPollers ?? 4,
      },
      bisectBatchOnError: true,
      retryAttempts: kafka.maxRetries ?? 100,
      maxRecordAge: kafka.maxRecordAge ?? Duration.days(1),
      // Apart from the dead-letter topic: there the function writes records as they came, here Lambda writes
      // whole invocation records in its own form.
      onFailure: new KafkaDlq(mapping.failures),
    });
    return kafkaFunction;
  }

  /** A function of this workspace, with its log group and its role. `cdk` builds it with cargo-lambda. */
  private rust(name: string, folder: string, own: Own): lambda.Function {
    const { kafkaPublic, logLevel, memorySize, storeUrl, tokens, tracing } = this.props;
    const logGroup = this.logs(`${name}Logs`);
    const ownTable = `dynamodb://${this.tasks.ref}?region=${this.region}`;
    const rust = new RustFunction(this, `${name}Function`, {
      // The crate's own manifest: cargo then builds that crate, and CDK looks at that folder only.
      manifestPath: fileURLToPath(new URL(`../../functions/${folder}/Cargo.toml`, import.meta.url)),
      binaryName: `a2a-${folder}`,
      bundling: { cargoLambdaFlags: own.cargoFlags },
      architecture: lambda.Architecture.ARM_64,
      description: own.description,
      memorySize: memorySize ?? 512,
      timeout: own.timeout,
      tracing: tracing ? lambda.Tracing.ACTIVE : lambda.Tracing.DISABLED,
      role: functionRole(this, `${name}Role`, logGroup, [taskAccess(this.tasks.attrArn), ...own.access]),
      logGroup,
      environment: {
        A2A_NAME: this.agent,
        A2A_STORE: storeUrl === "dynamodb:" ? ownTable : storeUrl ?? "memory:",
        // Page tokens are signed with it, alike in all instances. The stack's id ends in a UUID that no caller
        // sees.
        A2A_SECRET: this.stackId,
        A2A_JWKS: tokens?.jwks ?? "",
        A2A_JWT_ISSUER: tokens?.issuer ?? "",
        A2A_JWT_AUDIENCE: tokens?.audience ?? "",
        A2A_KAFKA_PUBLIC: kafkaPublic ?? "",
        RUST_LOG: logLevel ?? "info",
        ...own.environment,
      },
    });
    // Of ids, as a network is often another stack's; the high-level property wants the whole VPC.
    (rust.node.defaultChild as lambda.CfnFunction).vpcConfig = own.network;
    return rust;
  }

  private logs(name: string): LogGroup {
    return new LogGroup(this, name, {
      retention: this.props.logRetention ?? RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }
}

/** What is a function's own. */
interface Own {
  readonly cargoFlags: string[];
  readonly description: string;
  readonly timeout: Duration;
  readonly access: PolicyStatement[];
  readonly network: Network | undefined;
  readonly environment: Record<string, string>;
}

const ACCESS_LOG = JSON.stringify({
  request: "$context.requestId",
  caller: "$context.identity.userArn",
  method: "$context.httpMethod",
  path: "$context.path",
  status: "$context.status",
  latency: "$context.responseLatency",
  error: "$context.error.message",
  integration: "$context.integrationErrorMessage",
});

/** CloudFormation's PascalCase keys in the camelCase that CDK has for them. */
function camelCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCase);
  if (typeof value !== "object" || value === null) return value;
  const camel = (key: string) => key.charAt(0).toLowerCase() + key.slice(1);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [camel(key), camelCase(inner)]));
}
