/**
 * What Tint and the device's validation say about one shader with the entry point `main`.
 *
 * @returns {Promise<{type: string, line: number, column: number, text: string}[]>} line and column
 *   count from 1 and are 0 where the message is about the whole shader
 */
export async function compile(device, code) {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code });
  const info = await module.getCompilationInfo();
  const messages = info.messages.map((message) => ({
    type: message.type,
    line: message.lineNum,
    column: message.linePos,
    text: message.message,
  }));
  if (accepted(messages)) {
    try {
      await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    } catch (error) {
      messages.push(whole(error.message));
    }
  }
  const error = await device.popErrorScope();
  if (error && accepted(messages)) messages.push(whole(error.message));
  return messages;
}

/** Whether none of the messages is an error. */
export function accepted(messages) {
  return messages.every(({ type }) => type !== 'error');
}

function whole(text) {
  return { type: 'error', line: 0, column: 0, text };
}
