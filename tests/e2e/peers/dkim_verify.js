// Checks the DKIM signatures of mails with mailauth. Usage: dkim_verify.js FILE...; a line "FILE<TAB>pass", or why not.
'use strict';
const fs = require('fs');
const {dkimVerify} = require('mailauth/lib/dkim/verify');

async function verify(file) {
  const {results} = await dkimVerify(fs.readFileSync(file));
  const said = results.map(({status}) => status.result === 'pass' ? 'pass' : `${status.result}: ${status.comment}`);
  const bad = said.filter((text) => text !== 'pass');
  console.log(`${file}\t${said.length === 0 ? 'no signature' : bad.length === 0 ? 'pass' : bad.join('; ')}`);
}

(async () => {
  for (const file of process.argv.slice(2)) await verify(file);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
