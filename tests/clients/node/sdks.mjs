// The Node SDKs against a gateway: chat, streaming, tools, pictures. Prints one JSON object of what came.
// node sdks.mjs SDK BASE_URL KEY   (SDK: openai, anthropic or google; the packages are found from the working folder)

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [sdk, base, key] = process.argv.slice(2);
const require = createRequire(`${process.cwd()}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const SCHEMA = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const ASKED = 'Weather in Oslo?';
const CALL = `${ASKED} [[answer: tool=weather]]`;

async function openai() {
  const { default: OpenAI } = await load('openai');
  const client = new OpenAI({ apiKey: key, baseURL: `${base}/api/v1`, maxRetries: 0 });
  const model = 'gpt-5.5';
  const ask = (content, more = {}) => client.chat.completions.create({ model, messages: [{ role: 'user', content }], ...more });
  const chat = (await ask('Say hi.')).choices[0].message.content;
  let streamed = '';
  for await (const chunk of await ask('Say hi.', { stream: true })) streamed += chunk.choices[0]?.delta?.content ?? '';
  const tools = [{ type: 'function', function: { name: 'weather', parameters: SCHEMA } }];
  const called = (await ask(CALL, { tools })).choices[0].message;
  const after = await client.chat.completions.create({
    model,
    tools,
    messages: [
      { role: 'user', content: ASKED },
      called,
      { role: 'tool', tool_call_id: called.tool_calls[0].id, content: '4 C' },
    ],
  });
  const seen = [{ type: 'text', text: 'What is it?' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } }];
  const looked = (await ask(seen)).choices[0].message.content;
  const responses = (await client.responses.create({ model, input: 'Say hi.' })).output_text;
  const images = await client.images.generate({ model: 'gpt-image-2', prompt: 'a teapot', size: '1024x1024', n: 2 });
  return {
    chat, streamed, looked, responses,
    tool: called.tool_calls[0].function.name, arguments: JSON.parse(called.tool_calls[0].function.arguments),
    after: after.choices[0].message.content, images: images.data.length,
  };
}

async function anthropic() {
  const { default: Anthropic } = await load('@anthropic-ai/sdk');
  const client = new Anthropic({ apiKey: key, baseURL: `${base}/api`, maxRetries: 0 });
  const ask = (content, more = {}) => ({ model: 'claude-sonnet-4-6', max_tokens: 500, messages: [{ role: 'user', content }], ...more });
  const text = (message) => message.content.filter((block) => block.type === 'text').map((block) => block.text).join('');
  const chat = text(await client.messages.create(ask('Say hi.')));
  const streamed = text(await client.messages.stream(ask('Say hi.')).finalMessage());
  const tools = [{ name: 'weather', input_schema: SCHEMA }];
  const called = await client.messages.create(ask(CALL, { tools }));
  const use = called.content.find((block) => block.type === 'tool_use');
  const after = await client.messages.create({
    ...ask(CALL, { tools }),
    messages: [
      { role: 'user', content: ASKED },
      { role: 'assistant', content: called.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: '4 C' }, { type: 'text', text: 'So?' }] },
    ],
  });
  const source = { type: 'base64', media_type: 'image/png', data: PIXEL };
  const looked = text(await client.messages.create(ask([{ type: 'image', source }, { type: 'text', text: 'What is it?' }])));
  return { chat, streamed, looked, tool: use.name, arguments: use.input, after: text(after) };
}

async function google() {
  const { GoogleGenAI } = await load('@google/genai');
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: `${base}/api/v1/gemini` } });
  const model = 'gemini-2.5-flash-official';
  const ask = (contents, config = {}) => client.models.generateContent({ model, contents, config });
  const chat = (await ask('Say hi.')).text;
  let streamed = '';
  for await (const chunk of await client.models.generateContentStream({ model, contents: 'Say hi.' })) streamed += chunk.text ?? '';
  const config = { tools: [{ functionDeclarations: [{ name: 'weather', parametersJsonSchema: SCHEMA }] }] };
  const called = await ask(CALL, config);
  const [call] = called.functionCalls;
  const after = await ask(
    [
      { role: 'user', parts: [{ text: ASKED }] },
      called.candidates[0].content,
      { role: 'user', parts: [{ functionResponse: { name: call.name, response: { degrees: 4 } } }, { text: 'So?' }] },
    ],
    config,
  );
  const looked = (await ask([{ inlineData: { mimeType: 'image/png', data: PIXEL } }, { text: 'What is it?' }])).text;
  return { chat, streamed, looked, tool: call.name, arguments: call.args, after: after.text };
}

console.log(JSON.stringify(await { openai, anthropic, google }[sdk]()));
