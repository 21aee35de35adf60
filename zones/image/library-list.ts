/** Which shared libraries, and which loader, a binary needs: as `ldd` names them. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { KernelError } from '../../Kernel/contract/errors.ts';

const run = promisify(execFile);
const LDD_TIMEOUT_MS = 5000;

/**
 * Absolute paths of the libraries and the loader.
 *
 * @throws KernelError `IMAGE_UNAVAILABLE` when ldd fails or names a library that is missing
 */
export const readLibraries = async (binary: string, signal: AbortSignal): Promise<readonly string[]> => {
  try {
    // An empty environment: LD_LIBRARY_PATH of whoever starts the kernel must not choose what goes into the image.
    const { stdout } = await run('ldd', [binary], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
      timeout: LDD_TIMEOUT_MS,
      maxBuffer: 64 * 1024,
      signal,
    });
    return parseLdd(stdout);
  } catch (thrown) {
    if (thrown instanceof KernelError) throw thrown;
    throw new KernelError('IMAGE_UNAVAILABLE', `ldd could not name the libraries of ${binary}`, {
      cause: thrown,
      remedy: 'install the package libc-bin, and check that the binary is the pinned Node for this machine',
    });
  }
};

/**
 * Reads ldd's three forms: `name => /path (0x…)`, `/loader (0x…)` and `linux-vdso.so.1 (0x…)`, of which the
 * last is no file. A statically linked binary needs nothing.
 */
export const parseLdd = (text: string): readonly string[] => {
  const paths = new Set<string>();
  for (const line of text.split('\n')) {
    const missing = /^\s*(\S+)\s*=>\s*not found/.exec(line);
    if (missing !== null) {
      throw new KernelError('IMAGE_UNAVAILABLE', `the library ${missing[1]} of Node is missing on this machine`, {
        remedy: `install the package that has ${missing[1]}`,
      });
    }
    const path = /(?:=>\s*|^\s*)(\/\S+)\s+\(0x[0-9a-f]+\)\s*$/.exec(line)?.[1];
    if (path !== undefined) paths.add(path);
  }
  return [...paths].sort();
};
