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
    private let text = Locked<[UInt8]>([])
    private let ended: AsyncStream<Void>
    private let lines: AsyncStream<String>

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
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        let (lines, line) = AsyncStream.makeStream(of: String.self)
        self.ended = ended
        self.lines = lines
        let rest = Locked([UInt8]())
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
                line.finish()
                return end.finish()
            }
            rest.withLock { rest in
                rest += data
                var parts = rest.split(separator: 10, omittingEmptySubsequences: false)
                rest = parts.popLast().map { Array($0) } ?? []
                for part in parts { line.yield(String(decoding: part, as: UTF8.self)) }
            }
        }
        try process.run()
    }

    /// Runs the probe to its end.
    static func run(_ arguments: String...) async throws -> ProgramRun {
        let program = try Program(arguments)
        var lines: [String] = []
        for await line in program.lines { lines.append(line) }
        program.process.waitUntilExit()
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
    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
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
