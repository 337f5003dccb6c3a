// The app: one agent, with the parameters that `-c NAME=VALUE` gives. In an app of yours, use AgentStack.
import { App } from "aws-cdk-lib";
import { fromParameters } from "./parameters.ts";
import { AgentStack } from "./stack.ts";

const app = new App();
new AgentStack(app, "A2aAgent", fromParameters((name) => app.node.tryGetContext(name)));
