// What is global in the page, and what the type checker's library does not know
// of browsers yet.

interface Boot {
  build: Record<string, any>;
  violations: string[];
  wasm: Promise<Response> | null;
  take(handler: (event: BootEvent) => void): void;
  stop(what: string, todo: string[]): void;
  overlay(on: boolean): void;
}

type BootEvent =
  | { type: 'key'; key: string }
  | { type: 'files'; via: string; wanted?: string; files: File[]; handles: any[]; folders: string[] };

interface Window {
  coredropBoot: Boot;
}

interface DataTransferItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

declare function showOpenFilePicker(options: object): Promise<any[]>;
declare function showSaveFilePicker(options: object): Promise<any>;
