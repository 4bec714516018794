import { testDocumentedCommands } from "../support/process/documented-commands.ts";

testDocumentedCommands((page) => !page.startsWith("operations/"));
