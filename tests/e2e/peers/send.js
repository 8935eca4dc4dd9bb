// Sends mails with nodemailer. Usage: send.js PORT COUNT SUBJECT; a JSON line for each mail with what the server said.
'use strict';
const nodemailer = require('nodemailer');

const [port, count, subject] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: '127.0.0.1', port: Number(port), secure: false, ignoreTLS: true, pool: true, maxConnections: 3});

async function send(i) {
  const info = await transport.sendMail({
    from: {name: 'Ālice', address: 'alice@ours.test'},
    to: ['r@ok.test', '"Bob, the other" <s@ok.test>'],
    bcc: 'blind@ok.test',
    headers: {'X-Token': subject},
    subject: `${subject} ${i} 日本語`,
    text: 'Grüße\n.\nende',
    html: '<p>Grüße',
    attachments: [{filename: 'ü.bin', content: Buffer.from([...Array(256).keys()])}]});
  console.log(JSON.stringify({response: info.response, accepted: info.accepted, rejected: info.rejected}));
}

Promise.all([...Array(Number(count)).keys()].map(send)).then(() => transport.close(), (error) => {
  console.error(error);
  process.exit(1);
});
