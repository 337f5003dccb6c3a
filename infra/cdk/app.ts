// The app: one agent, with the parameters that `-c NAME=VALUE` gives. In an app of yours, use AgentStack.
import { App } from "aws-cdk-lib";
import { AgentStack } from "./stack.ts";

new AgentStack(new App(), "A2aAgent");
