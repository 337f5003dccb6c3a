// The app: one agent, with the parameters that `-c NAME=VALUE` gives. In an app of yours, use AgentStack.
import { App } from "aws-cdk-lib";
import { agentFromContext } from "./stack.ts";

agentFromContext(new App());
