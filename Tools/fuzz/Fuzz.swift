import Foundation

// Feeds decoders with bytes that nobody wrote. Tools/checks/fuzz builds it with libFuzzer, which
// makes up the bytes; the environment variable FUZZ_TARGET names the decoder. Built without, it has
// two uses:
//   fuzz seeds DIR          writes what decoders are written for, as a start, a folder for each
//   fuzz replay TARGET FILE…   feeds these files again

#if !FUZZING
    @main
    struct Fuzz {
        static func main() throws {
            let arguments = Array(CommandLine.arguments.dropFirst())
            switch (arguments.first, arguments.count) {
            case ("seeds", 2): try writeSeeds(URL(fileURLWithPath: arguments[1]))
            case ("replay", 3...):
                guard let target = Target(rawValue: arguments[1]) else { fallthrough }
                for path in arguments.dropFirst(2) {
                    target.feed(Array(try Data(contentsOf: URL(fileURLWithPath: path))))
                    print("\(path): no finding")
                }
            default:
                print("usage: fuzz seeds DIR | fuzz replay TARGET FILE…")
                print("targets: \(Target.allCases.map(\.rawValue).joined(separator: " "))")
                exit(2)
            }
        }

        private static func writeSeeds(_ folder: URL) throws {
            for target in Target.allCases {
                let own = folder.appending(path: target.rawValue)
                try FileManager.default.createDirectory(
                    at: own, withIntermediateDirectories: true)
                for (number, seed) in try target.seeds().enumerated() {
                    // From a seed that is refused nothing behind the refusal is reached.
                    guard target.feed(seed) else {
                        print("error: \(target) does not take its own seed \(number)")
                        exit(1)
                    }
                    try Data(seed).write(to: own.appending(path: "seed-\(number)"))
                }
            }
        }
    }
#else
    private let chosen: Target = {
        let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? ""
        guard let target = Target(rawValue: name) else {
            print("FUZZ_TARGET is \"\(name)\", no target")
            exit(2)
        }
        return target
    }()

    /// Called by libFuzzer.
    @c(LLVMFuzzerTestOneInput)
    public func feedOne(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
        chosen.feed(Array(UnsafeBufferPointer(start: start, count: count)))
        return 0
    }
#endif
