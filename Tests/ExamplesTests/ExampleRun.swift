import BatchEngine
import Foundation
import Synchronization

/// An example that runs as a program of its own, and what it prints.
final class ExampleRun {
    struct Ended: Error, CustomStringConvertible {
        let description: String
    }

    /// A folder of its own, in which the program runs.
    let folder: String
    private let process = Process()
    private let output = Pipe()
    private var lines: AsyncStream<String>.Iterator
    private var exit: AsyncStream<Int32>.Iterator

    init(_ name: String, in folder: String, _ arguments: [String]) throws {
        self.folder = folder
        process.executableURL = try Self.program(name)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardOutput = output
        process.standardError = FileHandle.standardError
        let (lines, linesEnd) = AsyncStream.makeStream(of: String.self)
        let (exit, exitEnd) = AsyncStream.makeStream(of: Int32.self)
        self.lines = lines.makeAsyncIterator()
        self.exit = exit.makeAsyncIterator()
        let rest = Locked([UInt8]())
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
                return linesEnd.finish()
            }
            rest.withLock { rest in
                rest += data
                var parts = rest.split(separator: 10, omittingEmptySubsequences: false)
                rest = parts.popLast().map { Array($0) } ?? []
                for part in parts { linesEnd.yield(String(decoding: part, as: UTF8.self)) }
            }
        }
        process.terminationHandler = { process in
            exitEnd.yield(process.terminationStatus)
            exitEnd.finish()
        }
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    /// What the next batch prints: the lines below its time.
    func nextBatch() async throws -> [String] {
        while try await nextLine().hasPrefix("Time: ") == false {}
        _ = try await nextLine()
        var elements: [String] = []
        while true {
            let line = try await nextLine()
            if line.isEmpty { return elements }
            elements.append(line)
        }
    }

    /// What the next batch prints that is not empty.
    func nextElements() async throws -> [String] {
        while true {
            let elements = try await nextBatch()
            if !elements.isEmpty { return elements }
        }
    }

    /// Waits for a batch that prints just this, in any order.
    func batch(of elements: [String]) async throws {
        while try await nextBatch().sorted() != elements {}
    }

    /// The next line of the program's output.
    func nextLine() async throws -> String {
        guard let line = await lines.next(isolation: #isolation) else {
            throw Ended(description: "the output of \(process.executableURL?.path ?? "") ended")
        }
        return line
    }

    /// Stops reading what the program prints, as `head` does.
    func closeOutput() throws {
        output.fileHandleForReading.readabilityHandler = nil
        try output.fileHandleForReading.close()
    }

    /// Sends the signal of Ctrl-C and waits for the end: its exit status.
    func interrupt() async throws -> Int32 {
        kill(process.processIdentifier, SIGINT)
        return try await ended()
    }

    /// Waits for the end: its exit status.
    func ended() async throws -> Int32 {
        guard let status = await exit.next(isolation: #isolation) else {
            throw Ended(description: "waited too long")
        }
        return status
    }

    /// The program, which is built into the folder that the tests run from.
    static func program(_ name: String) throws -> URL {
        var candidates = [Bundle.main.executableURL].compactMap(\.self)
        candidates += Bundle.allBundles.map(\.bundleURL)
        candidates += CommandLine.arguments.map { URL(fileURLWithPath: $0) }
        for candidate in candidates {
            let program = candidate.deletingLastPathComponent().appending(path: name)
            if FileManager.default.isExecutableFile(atPath: program.path) { return program }
        }
        throw Ended(description: "\(name) is not built beside the tests")
    }
}

/// Runs a test in a folder of its own, which is removed afterwards.
func withTemporaryFolder(_ body: (String) async throws -> Void) async throws {
    let folder = try FileSystem.createTemporaryDirectory(prefix: "examples-")
    do { try await body(folder) } catch {
        try? FileSystem.removeTree(folder)
        throw error
    }
    try FileSystem.removeTree(folder)
}
