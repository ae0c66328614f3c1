import BatchEngine
import Foundation

/// Starts the program, kills it, starts it again, and looks at what it left.
struct Driver {
    let directory: String
    let kills: Int
    let seed: UInt64
    private let deadline = SystemTime.monotonic() + .seconds(300)

    init(directory: String, kills: Int, seed: UInt64) {
        self.directory = directory
        self.kills = kills
        self.seed = seed
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Whether all was as it should be.
    func run() async throws -> Bool {
        let source = try await NumberSource.open()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await source.serve() }
            defer { group.cancelAll() }
            var problem: (any Error)?
            do { try await killAndDrain(source) } catch { problem = error }
            let findings = try Findings(
                directory, acknowledged: source.acknowledged, sendCounts: source.sendCounts)
            report(findings, problem)
            return findings.isGood && problem == nil
        }
    }

    private func killAndDrain(_ source: NumberSource) async throws {
        var random = Random(state: seed)
        for _ in 0..<kills {
            let process = try start(source.port)
            let end =
                SystemTime.monotonic() + .milliseconds(Int.random(in: 30...400, using: &random))
            do {
                try await wait("a kill", process) { SystemTime.monotonic() >= end }
            } catch {
                await kill(process)
                throw error
            }
            await kill(process)
        }
        let process = try start(source.port)
        do {
            // It has come so far that it ends when it is told to.
            let known = source.sendCounts.count
            try await wait("a new number", process) { source.acknowledged >= known }
            source.end()
            try await wait("the acknowledgement of everything", process) { source.isDone }
            process.terminate()
            try await wait("the end", process, mayEnd: true) { !process.isRunning }
        } catch {
            await kill(process)
            throw error
        }
        if process.terminationReason != .exit || process.terminationStatus != 0 {
            throw Failure(description: "ended with status \(process.terminationStatus)")
        }
    }

    private func start(_ port: Int) throws -> Process {
        let log = directory + "/log"
        try FileSystem.append(log, [], durability: .handedOver)
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        try output.seekToEnd()
        let process = Process()
        process.executableURL = Bundle.main.executableURL
        process.arguments = ["run", directory, "\(port)"]
        process.standardOutput = output
        process.standardError = output
        try process.run()
        return process
    }

    private func wait(
        _ what: String, _ process: Process, mayEnd: Bool = false, until isDone: () -> Bool
    ) async throws {
        while !isDone() {
            if !mayEnd, !process.isRunning {
                throw Failure(
                    description: "the program ended by itself with status "
                        + "\(process.terminationStatus) during the wait for \(what)")
            }
            if SystemTime.monotonic() > deadline {
                throw Failure(description: "five minutes passed during the wait for \(what)")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private func kill(_ process: Process) async {
        if process.isRunning { _ = Foundation.kill(process.processIdentifier, SIGKILL) }
        while process.isRunning { try? await Task.sleep(for: .milliseconds(1)) }
    }

    private func report(_ findings: Findings, _ problem: (any Error)?) {
        let lists: [(String, [String])] = [
            ("lost", findings.lost.map { "\($0)" }), ("doubled", findings.doubled.map { "\($0)" }),
            ("mismatch", findings.mismatches), ("wrong window", findings.wrongWindows),
            ("wrong state", findings.wrongStates), ("missing batch", findings.missing),
        ]
        for (name, list) in lists {
            for text in list.prefix(5) { print("\(name): \(text)") }
        }
        if let problem { print("problem: \(problem)") }
        print(
            "seed \(seed), kills \(kills), acknowledged \(findings.acknowledged), "
                + "lost \(findings.lost.count), doubled \(findings.doubled.count), "
                + "mismatches \(findings.mismatches.count), "
                + "wrong windows \(findings.wrongWindows.count), "
                + "wrong states \(findings.wrongStates.count), "
                + "missing batches \(findings.missing.count) of \(findings.batchCount)")
    }
}

/// Numbers that a seed decides.
private struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
