import BatchEngine
import Foundation

// Kills a streaming program over and over, and looks whether anything was lost or came out wrong:
//   crash [--kills N] [--seed S]
// The program that is killed, which the driver starts by itself:
//   crash run DIR PORT
// One line sums up what was found. The exit status is 1 unless all of it is as it should be; then
// the directory with all outputs is kept, and named.

@main
struct Crash {
    static func main() async throws {
        var arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "run" {
            guard arguments.count == 3, let port = Int(arguments[2]) else { return usage() }
            return try await KilledProgram(directory: arguments[1], port: port).run()
        }
        var (kills, seed) = (20, UInt64.random(in: 1...999_999))
        while let option = arguments.first {
            guard arguments.count > 1, let value = UInt64(arguments[1]) else { return usage() }
            switch option {
            case "--kills": kills = Int(clamping: value)
            case "--seed": seed = value
            default: return usage()
            }
            arguments.removeFirst(2)
        }
        let directory = try FileSystem.createTemporaryDirectory(prefix: "crash")
        let isGood = try await Driver(directory: directory, kills: kills, seed: seed).run()
        if isGood {
            try FileSystem.removeTree(directory)
        } else {
            print("kept: \(directory)")
            exit(1)
        }
    }

    private static func usage() {
        print("usage: crash [--kills N] [--seed S] | crash run DIR PORT")
        exit(2)
    }
}
