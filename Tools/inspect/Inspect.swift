import BatchEngine
import DStreamCore
import FaultTolerance
import Foundation

// Says in words what a streaming program has left on disk, and checks every byte of it. Nothing but
// `inputs forget` locks or changes anything; a program may be at work there.
//   inspect checkpoint DIR                        a checkpoint directory, receivers' logs included
//   inspect checkpoint check DIR -- PROGRAM ARG…  whether that program could start from there
//   inspect log DIR [--records]                   a write-ahead log, or all of a checkpoint
//                                                 directory; on request record by record
//   inspect inputs DIR                            what batches read that a restart runs again
//   inspect inputs forget DIR BATCH STREAM [NAME…]
//                                                 lets the batch run again without that, for good;
//                                                 BATCH is its time in milliseconds, no NAME: all
//   inspect dead-letters DIR                      what failed for good and waits to be replayed;
//                                                 a checkpoint directory's are in dead-letters
// The exit status is 1 when something is damaged or missing, or the program could not start.

@main
struct Inspect {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        var isGood = false
        do {
            switch (arguments.first, arguments.count) {
            case ("checkpoint", 2): isGood = try await CheckpointReport(arguments[1]).print()
            case ("checkpoint", 5...) where arguments[1] == "check" && arguments[3] == "--":
                isGood = try check(arguments[2], Array(arguments[4...]))
            case ("log", 2): isGood = try await LogReport.printAll(in: arguments[1])
            case ("inputs", 2):
                isGood = try await InputsReport(arguments[1]).print()
            case ("inputs", 5...) where arguments[1] == "forget":
                isGood = try await InputsReport(arguments[2]).forget(Array(arguments[3...]))
            case ("dead-letters", 2): isGood = try await showDeadLetters(arguments[1])
            case ("log", 3) where arguments[2] == "--records":
                isGood = try await LogReport.printAll(in: arguments[1], showsRecords: true)
            default:
                print(
                    """
                    usage: inspect checkpoint DIR
                           inspect checkpoint check DIR -- PROGRAM ARG…
                           inspect log DIR [--records]
                           inspect inputs DIR
                           inspect inputs forget DIR BATCH STREAM [NAME…]
                           inspect dead-letters DIR
                    """)
                exit(2)
            }
        } catch {
            print("\(error)")
        }
        exit(isGood ? 0 : 1)
    }

    /// Prints the dead letters in a directory, and reads all of each.
    private static func showDeadLetters(_ directory: String) async throws -> Bool {
        // A program has none yet where there is no directory; an operator has mistyped its name.
        let names = try FileStorageMedium().list(directory)
        let directory = names.contains("dead-letters") ? directory + "/dead-letters" : directory
        let store = FileDeadLetterStore(directory)
        let listing = try await store.list()
        var problems = listing.problems
        for entry in listing.entries {
            print("\(entry)")
            do { showUnread(of: try await store.read(entry.id)) } catch {
                problems.append("\(error)")
            }
        }
        for problem in problems { print("damaged: \(problem)") }
        let count = listing.entries.count
        print("\(count) dead letter\(count == 1 ? " waits" : "s wait") in \(directory)")
        return problems.isEmpty
    }

    /// Prints what a letter has by name only.
    private static func showUnread(of letter: DeadLetter) {
        guard case .inputs(let inputs) = letter.contents else { return }
        for input in inputs {
            for part in input.unread { print("  not read: \(part.name): \(part.reason)") }
        }
    }

    /// Lets a program check a directory: only it knows its streams.
    private static func check(_ directory: String, _ command: [String]) throws -> Bool {
        do { _ = try FileStorageMedium().list(directory) } catch let error as StorageError
            where error.code == .notFound
        {
            print(
                "there is no directory \(directory), so nothing was checked: a program would "
                    + "begin anew there")
            return false
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.environment = ProcessInfo.processInfo.environment.merging([
            "DSTREAMS_CHECK_CHECKPOINT": directory
        ]) { $1 }
        // What the program says goes on to the terminal; its verdict is among it.
        let output = Foundation.Pipe()
        process.standardOutput = output
        try process.run()
        var said: [UInt8] = []
        while let bytes = try output.fileHandleForReading.read(upToCount: 1 << 16), !bytes.isEmpty {
            FileHandle.standardOutput.write(bytes)
            // The end is enough, however much the program prints before it.
            said = (said + bytes).suffix(1 << 16)
        }
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            return false
        }
        let verdict = "this program can start from here"
        if String(decoding: said, as: UTF8.self).contains(verdict) { return true }
        print(
            "\(command[0]) ended without opening \(directory), so nothing was checked; name a "
                + "program that calls StreamingContext.getOrCreate(checkpointDirectory:)")
        return false
    }
}
