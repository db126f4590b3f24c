// Drives the simulated Salesforce with jsforce as its users do, and prints the results as one JSON object.
// Arguments: login URL, consumer key, consumer secret, then the ids of two Leads.
const { Connection } = require("jsforce");

async function failure(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return { errorCode: error.errorCode, message: error.message };
  }
}

async function main([loginUrl, clientId, clientSecret, first, second]) {
  const connection = new Connection({ version: "67.0", oauth2: { loginUrl, clientId, clientSecret } });
  await connection.authorize({ grant_type: "client_credentials" });
  const leads = connection.sobject("Lead");
  const results = { instanceUrl: connection.instanceUrl, organizationId: connection.userInfo.organizationId };

  results.query = await connection.query("SELECT Id, LastName, Owner.Name FROM Lead ORDER BY Id LIMIT 2");
  results.found = await leads.find({ Email: "taken@example.com" }, ["Id", "Email"]);
  const pages = await connection.query("SELECT Id FROM Lead", { autoFetch: true, maxFetch: 3000 });
  results.fetched = pages.records.length;
  results.described = (await leads.describe()).fields.map((field) => field.name);
  results.global = (await connection.describeGlobal()).sobjects.map((one) => one.name);

  results.updated = await leads.update([
    { Id: first, Phone: "+1 202 555 0101" },
    { Id: second, Email: "no address" },
  ]);
  results.retrieved = await connection.retrieve("Lead", [first, second], { fields: ["Id", "Phone"] });
  results.whole = await leads.retrieve(first);
  results.created = await leads.create({ LastName: "Roe", Company: "Example Works" });
  results.limits = connection.limitInfo;

  results.unknownField = await failure(connection.query("SELECT Citty FROM Lead"));
  results.beyond = await failure(connection.query("SELECT COUNT(Id) FROM Lead"));
  console.log(JSON.stringify(results));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
