import BatchEngine
import Foundation

// Says in words what a streaming program has left on disk, and checks every byte of it. Nothing is
// locked or changed; a program may be at work there.
//   inspect checkpoint DIR                        a checkpoint directory, receivers' logs included
//   inspect checkpoint check DIR -- PROGRAM ARG…  whether that program could start from there
//   inspect log DIR [--records]                   a write-ahead log, on request record by record
// The exit status is 1 when something is damaged, or the program could not start.

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
            case ("log", 2): isGood = try await LogReport(arguments[1]).print()
            case ("log", 3) where arguments[2] == "--records":
                isGood = try await LogReport(arguments[1]).print(showsRecords: true)
            default:
                print(
                    """
                    usage: inspect checkpoint DIR
                           inspect checkpoint check DIR -- PROGRAM ARG…
                           inspect log DIR [--records]
                    """)
                exit(2)
            }
        } catch {
            print("\(error)")
        }
        exit(isGood ? 0 : 1)
    }

    /// Lets a program check a directory: only it knows its streams.
    private static func check(_ directory: String, _ command: [String]) throws -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.environment = ProcessInfo.processInfo.environment.merging([
            "DSTREAMS_CHECK_CHECKPOINT": directory
        ]) { $1 }
        try process.run()
        process.waitUntilExit()
        return process.terminationReason == .exit && process.terminationStatus == 0
    }
}
