// The app: one agent, with the parameters that `-c NAME=VALUE` gives. In an app of yours, use AgentStack.
import { App } from "aws-cdk-lib";
import { AgentStack, declaredParameters } from "./stack.ts";

const app = new App();
const context = Object.entries(app.node.getAllContext());
const known = declaredParameters();
const parameters = Object.fromEntries(context.filter(([name]) => known.has(name)));
new AgentStack(app, "A2aAgent", { parameters });
