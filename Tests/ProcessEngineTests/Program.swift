import BatchEngine
import Foundation
import Synchronization

/// A run of the probe as a program of its own, and what it printed.
struct ProgramRun: Sendable {
    let lines: [String]
    let status: Int32
    let signal: Int32?

    /// The lines that begin with a word, without it.
    func lines(_ word: String) -> [String] {
        lines.filter { $0.hasPrefix(word + " ") }.map { String($0.dropFirst(word.count + 1)) }
    }

    /// The lines that outputs made.
    var outputs: [String] {
        let own = ["ERROR", "STARTED", "DRIVER", "FAILED", "WORKERS"]
        return lines.filter { line in !own.contains { line.hasPrefix($0 + " ") } }
    }
}

/// A probe that runs.
final class Program: Sendable {
    private let process: Process
    private let lines: AsyncStream<String>
    private let exit: AsyncStream<Void>

    init(_ arguments: [String], keepsErrors: Bool = false) throws {
        let process = Process()
        self.process = process
        process.executableURL = try Self.path("workerprobe")
        process.arguments = arguments
        var environment = ProcessInfo.processInfo.environment
        environment["SWIFT_BACKTRACE"] = "enable=no"
        process.environment = environment
        let output = Pipe()
        process.standardOutput = output
        if !keepsErrors { process.standardError = FileHandle.nullDevice }
        let (lines, line) = AsyncStream.makeStream(of: String.self)
        let (exit, exitEnd) = AsyncStream.makeStream(of: Void.self)
        self.lines = lines
        self.exit = exit
        let rest = Locked([UInt8]())
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
                return line.finish()
            }
            rest.withLock { rest in
                rest += data
                var parts = rest.split(separator: 10, omittingEmptySubsequences: false)
                rest = parts.popLast().map { Array($0) } ?? []
                for part in parts { line.yield(String(decoding: part, as: UTF8.self)) }
            }
        }
        process.terminationHandler = { _ in exitEnd.finish() }
        try process.run()
    }

    /// Runs the probe to its end.
    static func run(_ arguments: String...) async throws -> ProgramRun {
        let program = try Program(arguments)
        var lines: [String] = []
        for await line in program.lines { lines.append(line) }
        for await _ in program.exit {}
        let isSignal = program.process.terminationReason == .uncaughtSignal
        return ProgramRun(
            lines: lines, status: program.process.terminationStatus,
            signal: isSignal ? program.process.terminationStatus : nil)
    }

    /// The first line that begins with a word, without it.
    func line(_ word: String) async -> String? {
        for await line in lines where line.hasPrefix(word + " ") {
            return String(line.dropFirst(word.count + 1))
        }
        return nil
    }

    /// Ends the program as a crash does.
    func kill() async {
        Foundation.kill(process.processIdentifier, SIGKILL)
        for await _ in exit {}
    }

    /// Returns once nobody writes to the program's output any more: neither it nor its workers.
    func outputClosed() async { for await _ in lines {} }

    private static func path(_ name: String) throws -> URL {
        var candidates = [Bundle.main.executableURL].compactMap(\.self)
        candidates += Bundle.allBundles.map(\.bundleURL)
        candidates += CommandLine.arguments.map { URL(fileURLWithPath: $0) }
        for candidate in candidates {
            let program = candidate.deletingLastPathComponent().appending(path: name)
            if FileManager.default.isExecutableFile(atPath: program.path) { return program }
        }
        throw CocoaError(.fileNoSuchFile)
    }
}
