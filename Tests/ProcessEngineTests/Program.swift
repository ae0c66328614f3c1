import BatchEngine
import Foundation
import Synchronization

/// A run of the probe as a program of its own, and what it printed.
struct ProgramRun: Sendable {
    let lines: [String]
    let end: ChildProcess.End

    /// The lines that begin with a word, without it.
    func lines(_ word: String) -> [String] {
        lines.filter { $0.hasPrefix(word + " ") }.map { String($0.dropFirst(word.count + 1)) }
    }

    /// The lines that outputs made.
    var outputs: [String] {
        let own = [
            "ERROR", "STARTED", "DRIVER", "FAILED", "WORKERS", "RESTART", "LETTER", "BATCHES",
        ]
        return lines.filter { line in !own.contains { line.hasPrefix($0 + " ") } }
    }
}

/// A probe that runs, and writes into a pipe of its own.
struct Program: Sendable {
    private let process: ChildProcess
    private let folder: String
    private let output: Output

    /// Starts the probe, with variables added to its environment.
    init(_ arguments: [String], environment: [String: String] = [:]) async throws {
        let folder = try FileSystem.createTemporaryDirectory(prefix: "probe")
        let pipe = "\(folder)/output"
        guard mkfifo(pipe, 0o600) == 0 else { throw CocoaError(.fileWriteUnknown) }
        let command = "exec \"$0\" \"$@\" > '\(pipe)' 2> /dev/null"
        process = try ChildProcess.start(
            "/bin/sh", arguments: ["sh", "-c", command, try Self.path("workerprobe")] + arguments,
            environment: environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 })
        self.folder = folder
        // Opening waits for the other side.
        output = try await BlockingThreads.shared.run { try Output(pipe) }
    }

    /// Runs the probe to its end.
    static func run(_ arguments: String...) async throws -> ProgramRun {
        let program = try await Program(arguments)
        let lines = try await program.remainingLines()
        return ProgramRun(lines: lines, end: try await program.ended())
    }

    /// The next line that the program prints; nil: it and all that it started have ended.
    func nextLine() async throws -> String? {
        try await BlockingThreads.shared.run { [output] in output.next() }
    }

    /// What comes until the program and all that it started have ended.
    func remainingLines() async throws -> [String] {
        try await BlockingThreads.shared.run { [output] in
            var lines: [String] = []
            while let line = output.next() { lines.append(line) }
            return lines
        }
    }

    /// Waits for the program's end.
    func ended() async throws -> ChildProcess.End {
        let end = try await BlockingThreads.shared.run { [process] in process.wait() }
        try FileSystem.removeTree(folder)
        return end
    }

    /// Ends the program as a crash does.
    func kill() { process.kill() }

    private static func path(_ name: String) throws -> String {
        var candidates = [Bundle.main.executableURL].compactMap(\.self)
        candidates += Bundle.allBundles.map(\.bundleURL)
        candidates += CommandLine.arguments.map { URL(fileURLWithPath: $0) }
        for candidate in candidates {
            let program = candidate.deletingLastPathComponent().appending(path: name)
            if FileManager.default.isExecutableFile(atPath: program.path) { return program.path }
        }
        throw CocoaError(.fileNoSuchFile)
    }
}

/// The reading end of a pipe; its calls block their thread.
private final class Output: Sendable {
    private let handle: FileHandle
    private let rest = Locked<[UInt8]>([])

    init(_ path: String) throws {
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw CocoaError(.fileReadUnknown)
        }
        self.handle = handle
    }

    /// The next line; nil: nobody has the pipe open for writing.
    func next() -> String? {
        while true {
            let line: String? = rest.withLock { rest in
                guard let end = rest.firstIndex(of: 10) else { return nil }
                defer { rest.removeFirst(end + 1) }
                return String(decoding: rest[..<end], as: UTF8.self)
            }
            if let line { return line }
            let data = handle.availableData
            if data.isEmpty { return nil }
            rest.withLock { $0 += data }
        }
    }
}
